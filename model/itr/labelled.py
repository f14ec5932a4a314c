"""Labelled pairs: the Relationship data set in the paper's layout, its public label file, and the fake-news set.

The public label file holds 4471 rows, none with the tweet's text. In 32 of them, pieces of the text have pushed the
labels to the right, and 2 have lost a field. All are recovered from the four one-hot columns, which end each row.
"""

import csv
import re
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from itr.pairs import DataError, Pair, Picture, jsonl, parquet, side_text

TRAIN_ROWS = 3576  # of the Relationship set; the rest tests
LABEL_COLUMNS = ("text_is_represented", "image_adds")
# The relation of each one-hot column: image_adds_text_repr, …_notrepr, image_notadds_text_repr, …_notrepr.
_ONE_HOT = (3, 1, 2, 0)
_TRAILING_LINK = re.compile(r" https?://t\.co/\w+$")


@dataclass(frozen=True)
class Labelled:
    """A labelled data set in its two parts. Every pair has a relation."""

    train: list[Pair]
    test: list[Pair]

    def dev(self) -> np.ndarray:
        """bool [train]: about a tenth of the training pairs, told by a digest of the id: the same for every seed."""
        return np.array([zlib.crc32(pair.id.encode()) % 10 == 0 for pair in self.train])


def read(path: Path) -> Labelled:
    """The paper's layout (a folder with data.csv), or train and test parts as JSON lines or Parquet with relations."""
    if (path / "data.csv").is_file():
        return relationship(path)
    if (path / "train.jsonl").is_file():
        parts = {
            part: list(jsonl(path / f"{part}.jsonl"))
            for part in ("train", "test")
            if (path / f"{part}.jsonl").is_file()
        }
    elif path.is_dir() and any(path.rglob("train*.parquet")):
        parts = {part: parquet(path, split=part) for part in ("train", "test")}
    else:
        raise DataError(f"{path}: no labelled data set: neither data.csv, nor train and test as .jsonl or .parquet")
    for part in ("train", "test"):
        if not parts.get(part):
            raise DataError(f"{path}: the {part} part is missing or empty")
        for pair in parts[part]:
            if pair.relation is None:
                raise DataError(f"{pair.where}: no relation; a labelled pair needs one (0…3)")
    return Labelled(parts["train"], parts["test"])


def relationship(folder: Path, train_rows: int = TRAIN_ROWS) -> Labelled:
    """data.csv with images/T{tweet_id}.jpg; the first `train_rows` rows train, the others test.

    Labels stand in data.csv, or, if it has only tweet_id and tweet, in the public textimage.csv beside it. One link at
    the very end of a text is removed; nothing is cut.
    """
    path = folder / "data.csv"
    rows = _rows(path, ("tweet_id", "tweet"))
    public = folder / "textimage.csv"
    labels = public_labels(public) if public.is_file() else None
    pairs = []
    for number, row in enumerate(rows, start=1):
        where = f"{path} row {number}"
        if all(name in row for name in LABEL_COLUMNS):
            relation = _relation(row, where)
        elif labels is None:
            raise DataError(
                f"{path}: no columns {' and '.join(LABEL_COLUMNS)}, no textimage.csv beside it; it has {_names(row)}"
            )
        elif row["tweet_id"] not in labels:
            raise DataError(f"{where}: tweet {row['tweet_id']} has no row in {public}")
        else:
            relation = labels[row["tweet_id"]]
        key = f"T{row['tweet_id']}"
        pairs.append(
            Pair(
                id=key,
                text=_TRAILING_LINK.sub("", row["tweet"]),
                picture=Picture(folder / "images" / f"{key}.jpg"),
                where=where,
                ocr=side_text(folder / "ocr" / f"{key}.txt"),
                caption=side_text(folder / "ofa" / f"{key}.txt"),
                relation=relation,
            )
        )
    if len(pairs) <= train_rows:
        raise DataError(f"{path}: {len(pairs)} rows; the first {train_rows} train, so none is left to test")
    return Labelled(pairs[:train_rows], pairs[train_rows:])


def _relation(row: dict[str, str], where: str) -> int:
    t, v = (row[name] for name in LABEL_COLUMNS)
    if t not in ("0", "1") or v not in ("0", "1"):
        fields = [field for value in row.values() for field in (value if isinstance(value, list) else [value])]
        return _of_fields(fields, where, [t, v])
    return 2 * int(t) + int(v)


def public_labels(path: Path) -> dict[str, int]:
    """Relation by tweet_id of the public textimage.csv, the damaged rows recovered."""
    labels: dict[str, int] = {}
    with path.open(encoding="utf-8", newline="") as file:
        # Quotes here belong to pieces of text that begin nowhere.
        rows = csv.reader(file, quoting=csv.QUOTE_NONE)
        head = next(rows, [])
        if tuple(head[1:3]) != LABEL_COLUMNS:
            raise DataError(f"{path}: columns 2 and 3 are {head[1:3]}, not {' and '.join(LABEL_COLUMNS)}")
        for number, row in enumerate(rows, start=1):
            relation = _of_fields(row, f"{path} row {number}", row[1:3])
            if row[0] in labels and labels[row[0]] != relation:
                raise DataError(f"{path} row {number}: tweet {row[0]} has another label above")
            labels[row[0]] = relation
    if not labels:
        raise DataError(f"{path}: the data set is empty")
    return labels


def _of_fields(fields: list[str | None], where: str, stated: list[str]) -> int:
    """The relation by the one-hot columns: the last four fields that are not empty."""
    filled = [field for field in fields if field]
    hot = filled[-4:]
    if len(filled) < 5 or sorted(hot) != ["0", "0", "0", "1"]:
        raise DataError(f"{where}: labels are {stated}, not 0 or 1, and no one-hot columns end the row")
    relation = _ONE_HOT[hot.index("1")]
    if all(value in ("0", "1") for value in stated) and relation != 2 * int(stated[0]) + int(stated[1]):
        raise DataError(f"{where}: labels {stated} and one-hot columns {hot} disagree")
    return relation


def fakenews(folder: Path) -> tuple[list[Pair], np.ndarray]:
    """annotation.csv (Title, Label) with images/{row from 0}.jpg; labels int [N], 1 is the class to be found."""
    path = folder / "annotation.csv"
    pairs, labels = [], []
    for number, row in enumerate(_rows(path, ("Title", "Label"))):
        where = f"{path} row {number + 1}"
        if row["Label"].strip() not in ("0", "1"):
            raise DataError(f"{where}: Label is {row['Label']!r}, not 0 or 1")
        pairs.append(Pair(str(number), row["Title"], Picture(folder / "images" / f"{number}.jpg"), where))
        labels.append(int(row["Label"]))
    if len(set(labels)) < 2:
        raise DataError(f"{path}: all labels are {labels[0]}; an AUROC needs both")
    return pairs, np.array(labels)


def _rows(path: Path, needed: tuple[str, ...]) -> list[dict[str, str]]:
    csv.field_size_limit(sys.maxsize)
    # The Relationship file escapes quotes; the fake-news file doubles them.
    dialect = {} if "Title" in needed else {"doublequote": False, "escapechar": "\\"}
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        with path.open(encoding="utf-8") as file:
            reader = csv.DictReader(file, **dialect)
            missing = [name for name in needed if name not in (reader.fieldnames or [])]
            if missing:
                raise DataError(
                    f"{path}: no column {' or '.join(missing)}; it has {', '.join(reader.fieldnames or []) or 'none'}"
                )
            rows = list(_whole(reader, needed, path))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: {error}") from error
    if not rows:
        raise DataError(f"{path}: the data set is empty")
    return rows


def _whole(reader: csv.DictReader, needed: tuple[str, ...], path: Path) -> Iterator[dict[str, str]]:
    for number, row in enumerate(reader, start=1):
        if any(row[name] is None for name in needed):
            raise DataError(
                f"{path} row {number}: cut off after {sum(value is not None for value in row.values())} fields"
            )
        yield row


def _names(row: dict[str, str]) -> str:
    return ", ".join(str(name) for name in row)
