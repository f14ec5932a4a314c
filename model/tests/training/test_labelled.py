"""The paper's labelled layouts, and rows made up to be damaged as those of the public label file are."""

from pathlib import Path

import numpy as np
import pytest
from tiny import write_picture

from itr.labelled import fakenews, public_labels, read, relationship
from itr.pairs import DataError

HEAD = (
    "tweet_id,text_is_represented,image_adds,image_adds_text_repr,image_adds_text_notrepr,"
    "image_notadds_text_repr,image_notadds_text_notrepr,,,\r\n"
)


def labels_of(folder: Path, rows: str) -> dict[str, int]:
    path = folder / "textimage.csv"
    path.write_bytes((HEAD + rows).encode())
    return public_labels(path)


@pytest.mark.parametrize(
    ("row", "relation"),
    [
        ("7,0,0,0,0,0,1,,,", 0),
        ("7,0,1,0,1,0,0,,,", 1),
        ("7,1,0,0,0,1,0,,,", 2),
        ("7,1,1,1,0,0,0,,,", 3),
        # Text that pushes the labels by one, two and three columns; quotes that open nowhere.
        ('7,some words\\" of it https://t.co/abc",0,1,0,1,0,0,,', 1),
        ('7,May 3, 2016  #TAG https://t.co/abc",1,0,0,0,1,0,', 2),
        ('7,am I?\\" Well, yes you, you are",1,1,1,0,0,0', 3),
        ('7,"odd,1,0,0,0,1,0,,', 2),
        # A lost field, which leaves the one-hot columns one to the left.
        ("7,0,0,0,0,1,,,,", 0),
    ],
)
def test_public_labels(tmp_path: Path, row: str, relation: int) -> None:
    assert labels_of(tmp_path, row + "\r\n8,1,1,1,0,0,0,,,\r\n") == {"7": relation, "8": 3}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("7,words,and,more,words,still,,,,\r\n", "row 1: labels are .*no one-hot columns end the row"),
        ("7,1,1,0,1,0,0,,,\r\n", r"row 1: labels \['1', '1'\] and one-hot columns .* disagree"),
        ("7,1,1,1,0,0,0,,,\r\n7,0,1,0,1,0,0,,,\r\n", "row 2: tweet 7 has another label above"),
        ("", "empty"),
    ],
)
def test_public_labels_that_cannot_be(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        labels_of(tmp_path, rows)
    (tmp_path / "textimage.csv").write_text("id,a,b\n")
    with pytest.raises(DataError, match="columns 2 and 3 are"):
        public_labels(tmp_path / "textimage.csv")


def data_csv(folder: Path, head: str, *rows: str) -> Path:
    (folder / "data.csv").write_text(head + "\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return folder


FULL = "tweet_id,tweet,text_is_represented,image_adds"


def test_relationship_texts_labels_and_split(tmp_path: Path) -> None:
    folder = data_csv(
        tmp_path,
        FULL,
        '11,"he said \\"no, never\\" https://t.co/AbC1",1,0',
        "12,see https://t.co/one more https://t.co/two,0,1",
        "13,no link https://t.co/x!,1,1",
        f'14,"two\nlines {"x" * 200} http://t.co/z",0,0',
        "15,https://t.co/alone,0,0",
    )
    write_picture(folder / "images" / "T11.jpg")
    data = relationship(folder, train_rows=3)
    assert [pair.text for pair in data.train + data.test] == [
        'he said "no, never"',
        "see https://t.co/one more",
        "no link https://t.co/x!",
        "two\nlines " + "x" * 200,
        "https://t.co/alone",
    ]
    assert [pair.relation for pair in data.train] == [2, 1, 3]
    assert [pair.id for pair in data.test] == ["T14", "T15"]
    assert data.train[0].image().size == (6, 4)


def test_relationship_takes_the_first_3576_rows_to_train(tmp_path: Path) -> None:
    folder = data_csv(tmp_path, FULL, *(f"{i},t,0,1" for i in range(4471)))
    data = read(folder)
    assert (len(data.train), len(data.test)) == (3576, 895)
    assert 0.08 < data.dev().mean() < 0.12
    with pytest.raises(DataError, match="3576 rows; the first 3576 train, so none is left"):
        read(data_csv(tmp_path, FULL, *(f"{i},t,0,1" for i in range(3576))))


def test_relationship_with_the_public_labels_beside_it(tmp_path: Path) -> None:
    data_csv(tmp_path, "tweet_id,tweet", "7,first", "8,second")
    with pytest.raises(DataError, match="no columns text_is_represented and image_adds, no textimage.csv beside it"):
        relationship(tmp_path, 1)
    labels_of(tmp_path, "8,1,1,1,0,0,0,,,\r\n7,0,1,0,1,0,0,,,\r\n")
    data = relationship(tmp_path, 1)
    assert (data.train[0].relation, data.test[0].relation) == (1, 3)
    data_csv(tmp_path, "tweet_id,tweet", "7,first", "9,second")
    with pytest.raises(DataError, match="row 2: tweet 9 has no row in"):
        relationship(tmp_path, 1)


def test_damaged_labels_beside_the_text_are_recovered_or_named(tmp_path: Path) -> None:
    hot = "image_adds_text_repr,image_adds_text_notrepr,image_notadds_text_repr,image_notadds_text_notrepr"
    folder = data_csv(tmp_path, f"{FULL},{hot}", "1,fine,1,0,0,0,1,0", "2,half a,text,0,1,0,1,0,0")
    assert relationship(folder, 1).test[0].relation == 1
    folder = data_csv(tmp_path, FULL, "1,fine,1,0", "2,bad,yes,0")
    with pytest.raises(DataError, match=r"data.csv row 2: labels are \['yes', '0'\], not 0 or 1"):
        relationship(folder, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,tweet\n1,a\n", "no column tweet_id; it has id, tweet"),
        ("", "no column tweet_id or tweet; it has none"),
        ("tweet_id,tweet\n", "empty"),
        ("tweet_id,tweet\n1,a\n2\n", "row 2: cut off after 1 fields"),
    ],
)
def test_broken_csv(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "data.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        read(tmp_path)


def test_parts_as_json_lines(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"text": "a", "image": "a.png", "relation": 2}\n')
    with pytest.raises(DataError, match="the test part is missing or empty"):
        read(tmp_path)
    (tmp_path / "test.jsonl").write_text('{"text": "b", "image": "b.png"}\n')
    with pytest.raises(DataError, match="test.jsonl line 1: no relation"):
        read(tmp_path)
    (tmp_path / "test.jsonl").write_text('{"text": "b", "image": "b.png", "relation": 0}\n')
    assert read(tmp_path).test[0].relation == 0
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match="no labelled data set"):
        read(tmp_path / "nothing")


def test_fakenews(tmp_path: Path) -> None:
    path = tmp_path / "annotation.csv"
    path.write_text('Title,Label\n"a ""quoted"" title",1\nplain \\ title,0\n')
    write_picture(tmp_path / "images" / "0.jpg")
    pairs, labels = fakenews(tmp_path)
    assert [pair.text for pair in pairs] == ['a "quoted" title', "plain \\ title"]
    np.testing.assert_array_equal(labels, [1, 0])
    assert pairs[0].image().size == (6, 4)
    path.write_text("Title,Label\na,1\nb,1\n")
    with pytest.raises(DataError, match="all labels are 1"):
        fakenews(tmp_path)
    path.write_text("Title,Label\na,1\nb,fake\n")
    with pytest.raises(DataError, match="row 2: Label is 'fake'"):
        fakenews(tmp_path)
    path.write_text("Title,Class\na,1\n")
    with pytest.raises(DataError, match="no column Label; it has Title, Class"):
        fakenews(tmp_path)
