"""Unlabelled data sets in each layout, and what is said of broken ones."""

import base64
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny import write_picture

from itr.pairs import DataError, check_pictures, digest, parquet, read


def test_twitter100k_lines_and_cuts(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_bytes(b"a @b http://t.co/x\n" + "ü".encode() * 150 + b"\r\nlone\rreturn\n")
    for i in (1, 2, 3, 4):
        write_picture(tmp_path / "images" / f"{i}.jpg")
        for side in ("ocr", "ofa"):
            (tmp_path / side).mkdir(exist_ok=True)
    (tmp_path / "ocr" / "2.txt").write_text("o" * 200)
    (tmp_path / "ofa" / "2.txt").write_text("a dog")
    pairs = read(tmp_path)
    assert [pair.text for pair in pairs] == ["a @b http://t.co/x\n", "ü" * 140, "lone\n", "return\n"]
    assert [pair.id for pair in pairs] == ["1", "2", "3", "4"]
    assert (pairs[1].ocr, pairs[1].caption, pairs[0].ocr) == ("o" * 140, "a dog", None)
    assert pairs[3].image().size == (6, 4)


def test_unreadable_pictures_are_named_with_their_rows(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("one\ntwo\nthree\n")
    write_picture(tmp_path / "images" / "1.jpg")
    (tmp_path / "images" / "2.jpg").write_bytes(b"no picture")
    pairs = read(tmp_path)
    with pytest.raises(DataError) as error:
        check_pictures(pairs)
    assert "text.txt line 2: picture" in str(error.value)
    assert "images/3.jpg cannot be read" in str(error.value)
    assert "line 1" not in str(error.value)
    with pytest.raises(DataError, match=r"line 2: picture .*2\.jpg cannot be read: it is no image$"):
        pairs[1].image()

    whole = (tmp_path / "images" / "1.jpg").read_bytes()
    (tmp_path / "images" / "1.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(DataError, match="line 1: picture"):
        pairs[0].image()


def test_jsonl_rows_and_posts(tmp_path: Path) -> None:
    write_picture(tmp_path / "pics" / "a b.png")
    inline = base64.b64encode(write_picture(tmp_path / "inline.png", (1, 2, 3)).read_bytes()).decode()
    media = [
        {"index": 0, "kind": "image", "url": "pics/a%20b.png"},
        {"index": 1, "kind": "video", "url": "v.mp4"},
        {"index": 2, "kind": "image", "url": f"file://{tmp_path}/pics/a%20b.png"},
    ]
    rows = [
        {"id": "x", "text": "simple", "image": "pics/a b.png", "ocr": "sale", "caption": "a shop", "relation": "both"},
        {"schema": "post.v1", "post_id": "p9", "text": "two pictures", "media": media},
        {"schema": "post.v1", "post_id": "p10", "text": "none", "media": []},
        {"schema": "post.v1", "op": "delete", "post_id": "p11"},
        {"schema": "post.v1", "post_id": "p12", "media": [{"data": inline, "url": "https://x.example/a.png"}]},
    ]
    path = tmp_path / "posts.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    pairs = read(path)
    assert [pair.id for pair in pairs] == ["x", "p9#0", "p9#2", "p12"]
    assert (pairs[3].text, pairs[3].image().getpixel((0, 0))) == ("", (1, 2, 3))
    assert (pairs[0].ocr, pairs[0].caption, pairs[0].relation) == ("sale", "a shop", 3)
    assert pairs[0].image().size == pairs[2].image().size == (6, 4)
    assert pairs[2].where.endswith("posts.jsonl line 2")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not JSON"),
        ("[]", 'line 2: a post is an object with a string "text"'),
        ('{"text": 3, "image": "a.png"}', 'with a string "text"'),
        ('{"text": "a"}', 'neither "image"'),
        ('{"text": "a", "image": "https://x.example/a.png"}', "is not on this machine"),
        ('{"text": "a", "image": "a.png", "relation": 4}', "relation is 4, not 0…3"),
        ('{"text": "a", "image": "a.png", "relation": true}', "relation is True"),
        ('{"text": "a", "media": [{"data": "no base64!"}]}', "not base64"),
    ],
)
def test_broken_lines(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_text('{"text": "fine", "image": "a.png"}\n' + line + "\n")
    with pytest.raises(DataError, match=message):
        read(path)


def test_nothing_there(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "text.txt").write_text("")
    for path, message in (
        (tmp_path / "empty.jsonl", "the data set is empty"),
        (tmp_path, "the data set is empty"),
        (tmp_path / "gone", "no such data set"),
        (tmp_path / "a.zip", "neither a .jsonl file"),
    ):
        (tmp_path / "a.zip").touch()
        with pytest.raises(DataError, match=message):
            read(path)


def table(rows: list[dict]) -> pa.Table:
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    kinds = [("text", pa.string()), ("picture", image), ("relation", pa.int64()), ("ocr", pa.string())]
    return pa.Table.from_pylist(rows, schema=pa.schema(kinds))


def test_parquet_pictures_by_bytes_and_by_path(tmp_path: Path) -> None:
    inside = [write_picture(tmp_path / "in.png", (255, shade, 0)).read_bytes() for shade in range(3)]
    write_picture(tmp_path / "data" / "out.png", (0, 0, 255))
    rows = [
        {"text": f"t{i}", "picture": {"bytes": inside[i % 3], "path": f"{i}.png"}, "relation": i % 4, "ocr": "o"}
        for i in range(600)
    ]
    rows.append({"text": None, "picture": {"bytes": None, "path": "out.png"}, "relation": None, "ocr": None})
    pq.write_table(table(rows[300:]), tmp_path / "data" / "train-00001-of-00002.parquet", row_group_size=7)
    pq.write_table(table(rows[:300]), tmp_path / "data" / "train-00000-of-00002.parquet", row_group_size=100)
    pq.write_table(table(rows[:3]), tmp_path / "data" / "test-00000-of-00001.parquet")
    pairs = parquet(tmp_path / "data", split="train")
    assert [pair.text for pair in pairs] == [f"t{i}" for i in range(600)] + [""]
    assert [pair.relation for pair in pairs[:5]] == [0, 1, 2, 3, 0]
    assert [pairs[i].image().getpixel((0, 0)) for i in (0, 299, 301)] == [(255, 0, 0), (255, 2, 0), (255, 1, 0)]
    assert pairs[600].image().getpixel((0, 0)) == (0, 0, 255)
    assert pairs[300].where.endswith("train-00001-of-00002.parquet row 1")
    assert len(read(tmp_path / "data")) == 604


def test_of_a_collected_data_set_only_what_its_manifest_names(tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "in.png").read_bytes()
    day = tmp_path / "data" / "day=2026-11-23"
    day.mkdir(parents=True)
    (tmp_path / "log").mkdir()
    names = ("b.r0.parquet", "a.r1.parquet", "a.r0.parquet")  # the last: from before a takedown
    for name in names:
        row = {"text": name, "picture": {"bytes": picture, "path": None}, "relation": None, "ocr": None}
        pq.write_table(table([row]), day / name)
    shards = [{"path": f"data/day=2026-11-23/{name}"} for name in names[:2]]
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"schema": "dataset.v1", "shards": shards}))
    assert [pair.text for pair in read(tmp_path)] == ["b.r0.parquet", "a.r1.parquet"]

    (day / "a.r1.parquet").rename(day / "a.r2.parquet")
    with pytest.raises(DataError, match=r"a\.r1\.parquet: is named by manifest\.json and not there"):
        read(tmp_path)
    manifest.write_text(json.dumps({"schema": "dataset.v2", "shards": shards}))
    with pytest.raises(DataError, match="a newer itrstream wrote it"):
        read(tmp_path)
    manifest.write_text("{}")
    with pytest.raises(DataError, match="no manifest of a data set"):
        read(tmp_path)
    (tmp_path / "log").rmdir()
    assert len(read(tmp_path)) == 3  # somebody else's manifest


def test_broken_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="not Parquet"):
        read(path)
    pq.write_table(pa.table({"text": ["a"], "image": ["a.png"]}), path)
    with pytest.raises(DataError, match="no column of type struct<bytes, path>; it has text, image"):
        read(path)
    pq.write_table(table([{"text": "a", "picture": {}}]).rename_columns(["words", "picture", "relation", "ocr"]), path)
    with pytest.raises(DataError, match="no column text; it has words"):
        read(path)
    pq.write_table(table([{"text": "a", "picture": None}]), path)
    with pytest.raises(DataError, match="row 1: the picture has neither bytes nor a path"):
        read(path)
    pq.write_table(table([{"text": "a", "picture": {"path": "a.png"}, "relation": 7}]), path)
    with pytest.raises(DataError, match="row 1: relation is 7"):
        read(path)
    pq.write_table(table([]), path)
    with pytest.raises(DataError, match="empty"):
        read(path)


def test_the_digest_sees_every_change(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    write_picture(tmp_path / "a.png")
    seen = set()
    for row in (
        {"text": "a"},
        {"text": "b"},
        {"text": "a", "ocr": "o"},
        {"text": "a", "relation": 1},
        {"text": "a", "id": "z"},
    ):
        path.write_text(json.dumps({"image": "a.png", **row}) + "\n")
        seen.add(digest(read(path)))
    (tmp_path / "a.png").write_bytes(b"longer" * 100)
    seen.add(digest(read(path)))
    assert len(seen) == 6
