"""Data sets with a filled column in every layout, without the models that fill them; kills, faults, refusals."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tiny import write_picture

from itr.filled import Filling, Unreadable, fill
from itr.pairs import DataError, read


def colour(images: Sequence[Image.Image]) -> list[str]:
    """What is found in a picture here: its colour; nothing in black ones."""
    return [",".join(map(str, image.getpixel((0, 0)))) if any(image.getpixel((0, 0))) else "" for image in images]


def filling(column: str = "ocr", batch: int = 2, **settings: str) -> Filling:
    return Filling(column, colour, settings, batch)


def test_twitter100k(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    source, out = tmp_path / "tweets", tmp_path / "new"
    for i in (1, 2, 3, 4):
        write_picture(source / "images" / f"{i}.png", (i - 1, 0, 0)).rename(source / "images" / f"{i}.jpg")
    (source / "text.txt").write_text("one\ntwo\nthree\nfour\nfive\n")
    (source / "images" / "3.jpg").write_bytes(b"no picture")
    (source / "ofa").mkdir()
    (source / "ofa" / "2.txt").write_text("a dog")
    summary = fill(source, out, filling(), force=False)
    pairs = read(out)
    assert [pair.text for pair in pairs] == ["one\n", "two\n", "three\n", "four\n", "five\n"]
    assert [pair.ocr for pair in pairs] == ["", "1,0,0", "", "3,0,0", ""]
    assert (pairs[1].caption, pairs[1].image().getpixel((0, 0))) == ("a dog", (1, 0, 0))
    counts = {name: summary[name] for name in ("pairs", "with_text", "unreadable", "reasons")}
    reasons = {"no picture that Pillow knows": 1, "no such file": 1}
    assert counts == {"pairs": 5, "with_text": 2, "unreadable": 2, "reasons": reasons}
    assert "text.txt line 5: picture" in (errors := capsys.readouterr().err) and "no such file" in errors
    assert not (source / "ocr").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "tweets"], "the journal goes"


def test_json_lines_keep_their_fields_and_find_their_pictures(tmp_path: Path) -> None:
    write_picture(tmp_path / "in" / "pics" / "a.png", (1, 2, 3))
    inline = base64.b64encode(write_picture(tmp_path / "b.png", (4, 5, 6)).read_bytes()).decode()
    media = [{"kind": "image", "url": "pics/a.png"}, {"kind": "video", "url": "v.mp4"}, {"data": inline, "alt": "b"}]
    rows = [
        {"id": "x", "text": "été", "image": "pics/a.png", "ocr": "old", "mine": [1]},
        {"schema": "post.v1", "post_id": "p", "text": "two", "media": media},
        {"text": "absolute", "image": str(tmp_path / "b.png")},
    ]
    source, out = tmp_path / "in" / "posts.jsonl", tmp_path / "out" / "filled.jsonl"
    source.write_text("\n".join(json.dumps(row) for row in rows))
    before = read(source)
    fill(source, out, filling(), force=False)
    after = read(out)
    assert [pair.ocr for pair in after] == ["1,2,3", "1,2,3", "4,5,6", "4,5,6"]
    assert [(pair.id, pair.text) for pair in after] == [(pair.id, pair.text) for pair in before]
    assert [pair.image().getpixel((0, 0)) for pair in after] == [(1, 2, 3), (1, 2, 3), (4, 5, 6), (4, 5, 6)]
    assert json.loads(out.read_text().splitlines()[0])["mine"] == [1]

    fill(out, tmp_path / "again.jsonl", filling("caption"), force=False)
    both = read(tmp_path / "again.jsonl")
    assert [(pair.ocr, pair.caption) for pair in both] == [(pair.ocr, pair.ocr) for pair in after]


def test_parquet_holds_every_picture_and_keeps_its_columns(tmp_path: Path) -> None:
    inside = write_picture(tmp_path / "in.png", (9, 0, 0)).read_bytes()
    write_picture(tmp_path / "data" / "out.png", (0, 7, 0))
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    kinds = {"likes": pa.int32(), "text": pa.string(), "ocr": pa.string(), "picture": image, "relation": pa.int8()}
    schema = pa.schema(list(kinds.items())).with_metadata({"huggingface": "{}"})
    paths = (("in.png", inside), ("out.png", None), ("gone.png", None))
    cells = [{"bytes": encoded, "path": path} for path, encoded in paths]
    rows = [{"likes": i, "text": f"t{i}", "ocr": "old", "picture": cells[i % 3], "relation": i % 4} for i in range(300)]
    for name, part in (("train-0", rows[:290]), ("test-0", rows[290:]), ("void", [])):
        pq.write_table(pa.Table.from_pylist(part, schema=schema), tmp_path / "data" / f"{name}.parquet")
    summary = fill(tmp_path / "data", tmp_path / "new", filling(), force=False)
    assert (summary["pairs"], summary["unreadable"]) == (300, 100)
    table = pq.read_table(tmp_path / "new" / "train-0.parquet")
    assert table.schema.equals(schema, check_metadata=True)
    assert table.column("likes").to_pylist() == list(range(290))
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    pairs = {pair.text: pair for pair in read(tmp_path / "new")}
    assert [pairs[f"t{i}"].ocr for i in (0, 1, 2, 297)] == ["9,0,0", "0,7,0", "", "9,0,0"]
    assert pairs["t1"].image().getpixel((0, 0)) == (0, 7, 0)

    one = tmp_path / "elsewhere" / "test-0.parquet"
    fill(one, tmp_path / "one.parquet", filling("caption"), force=False)
    assert [pair.caption for pair in read(tmp_path / "one.parquet")][:2] == ["", "9,0,0"]
    assert pq.read_schema(tmp_path / "one.parquet").names == [*schema.names, "caption"]


def many(folder: Path, count: int) -> Path:
    rows = []
    for i in range(count):
        write_picture(folder / f"{i}.png", (i + 1, 0, 0))
        rows.append(json.dumps({"text": f"t{i}", "image": f"{i}.png"}))
    (folder / "posts.jsonl").write_text("\n".join(rows) + "\n")
    return folder / "posts.jsonl"


class Killed(BaseException):
    pass


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    source, out, journal = many(tmp_path, 9), tmp_path / "out.jsonl", tmp_path / "out.jsonl.journal"
    seen: list[str] = []

    def describe(images: Sequence[Image.Image], until: int = 99) -> list[str]:
        if len(seen) >= until:
            raise Killed
        seen.extend(colour(images))
        return colour(images)

    with pytest.raises(Killed):
        fill(source, out, Filling("ocr", lambda images: describe(images, 4), {"model": "a"}, 2), force=False)
    assert not out.exists()
    journal.write_bytes(journal.read_bytes() + b'{"text": "cut o')
    with pytest.raises(ValueError, match="unfinished run with other data or settings"):
        fill(source, out, Filling("ocr", describe, {"model": "b"}, 2), force=False)
    with pytest.raises(Killed):
        fill(source, out, Filling("ocr", lambda images: describe(images, 6), {"model": "a"}, 2), force=False)
    fill(source, out, Filling("ocr", describe, {"model": "a"}, 2), force=False)
    assert seen == [f"{i},0,0" for i in range(1, 10)], "each picture once"
    assert [pair.ocr for pair in read(out)] == seen
    assert not journal.exists()

    seen.clear()
    with pytest.raises(Killed):
        fill(source, out, Filling("ocr", lambda images: describe(images, 4), {"model": "a"}, 2), force=True)
    assert len(read(out)) == 9, "what is there stays until the new one is whole"
    fill(source, out, Filling("ocr", describe, {"model": "b"}, 3), force=True)
    assert len(seen) == 4 + 9, "with --force a run of other settings starts anew"


def test_a_picture_that_the_model_cannot_take_is_counted(tmp_path: Path) -> None:
    source = many(tmp_path, 3)

    def describe(images: Sequence[Image.Image]) -> list[str | Unreadable]:
        return [Unreadable("too thin") if text == "2,0,0" else text for text in colour(images)]

    summary = fill(source, tmp_path / "out.jsonl", Filling("ocr", describe, {}, 3), force=False)
    assert (summary["with_text"], summary["reasons"]) == (2, {"too thin": 1})
    assert [pair.ocr for pair in read(tmp_path / "out.jsonl")] == ["1,0,0", "", "3,0,0"]


def test_what_is_refused(tmp_path: Path) -> None:
    source = many(tmp_path / "data", 2)
    for out, message in (
        (source, "the data set itself is kept"),
        (tmp_path / "data", "the data set itself is kept"),
        (tmp_path / "out.parquet", "must end in .jsonl"),
    ):
        with pytest.raises(ValueError, match=message):
            fill(source, out, filling(), force=True)
    (tmp_path / "out.jsonl").write_text("mine")
    with pytest.raises(ValueError, match="--force replaces it"):
        fill(source, tmp_path / "out.jsonl", filling(), force=False)
    assert (tmp_path / "out.jsonl").read_text() == "mine"
    with pytest.raises(DataError, match="no such data set"):
        fill(tmp_path / "gone.jsonl", tmp_path / "new.jsonl", filling(), force=False)

    for i in (0, 1):
        (tmp_path / "data" / f"{i}.png").unlink()
    with pytest.raises(DataError, match="none of its 2 pictures can be read"):
        fill(source, tmp_path / "new.jsonl", filling(), force=False)
    assert not list(tmp_path.glob("new*"))

    tweets, home = tmp_path / "tweets", tmp_path / "home"
    write_picture(tweets / "images" / "1.jpg")
    (tweets / "text.txt").write_text("one\n")
    home.mkdir()
    (home / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match="has no text.txt, so it is not replaced even with --force"):
        fill(tweets, home, filling(), force=True)
    assert (home / "letter.txt").read_text() == "dear"
