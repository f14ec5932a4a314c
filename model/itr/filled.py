"""A data set written anew with one column filled from its pictures: OCR texts, or captions. A killed run goes on.

What each picture gave is kept in a journal beside the output, a line a pair, until the new data set is whole. Pictures
stay where they are: JSON lines and Twitter100k folders refer to them; Parquet holds them, also those that were paths.
"""

import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from itr import folder, pairs
from itr.pairs import DataError, Pair

TWITTER_FOLDERS = {"ocr": "ocr", "caption": "ofa"}
_SHOWN = 10  # unreadable pictures that are named


class Unreadable(ValueError):
    """Why one picture gives no text."""


@dataclass(frozen=True)
class Filling:
    """What is to be filled, and how. `describe` gives a text for each picture, or Unreadable in its place."""

    column: str  # ocr or caption
    describe: Callable[[Sequence[Image.Image]], Sequence[str | Unreadable]]
    settings: dict[str, Any]  # whatever texts depend on
    batch: int = 1


def fill(source: Path, out: Path, filling: Filling, force: bool) -> dict[str, Any]:
    """Writes `out` in the layout of `source`, and returns counts. A pair whose picture cannot be read gets no text."""
    _check(source, out, force)
    found = pairs.read(source)
    path = out.with_name(out.name + ".journal")
    header = {"column": filling.column, **filling.settings, "data": pairs.digest(found)}
    done = _resume(path, header, force)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as journal:
        if not done:
            journal.write(json.dumps(header) + "\n")
        bar = tqdm(total=len(found), initial=len(done), desc=filling.column, unit="picture", disable=None)
        for start in range(len(done), len(found), filling.batch):
            lines = _described(found[start : start + filling.batch], filling)
            journal.write("".join(json.dumps(line) + "\n" for line in lines))
            journal.flush()
            done += lines
            bar.update(len(lines))
        bar.close()
    reasons = _reasons(found, done)
    if sum(reasons.values()) == len(found):
        path.unlink()
        raise DataError(f"{source}: none of its {len(found)} pictures can be read; nothing is written")
    texts = [line["text"] for line in done]
    _write(source, out, filling.column, found, texts, force)
    path.unlink()
    return {
        "out": str(out),
        "column": filling.column,
        "pairs": len(found),
        "with_text": sum(bool(text) for text in texts),
        "unreadable": sum(reasons.values()),
        "reasons": dict(reasons),
    }


def _check(source: Path, out: Path, force: bool) -> None:
    here, there = source.resolve(), out.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise ValueError(f"{out} is, holds or lies in {source}: name another --out, as the data set itself is kept")
    if source.suffix in (".jsonl", ".parquet") and out.suffix != source.suffix:
        raise ValueError(f"--out {out}: must end in {source.suffix}, as the data set it is made of")
    if out.exists() and not force:
        raise ValueError(f"{out} is there already; --force replaces it")


def _resume(path: Path, header: dict[str, Any], force: bool) -> list[dict[str, Any]]:
    """The whole lines of a journal of the same run; what came after them is cut off."""
    if not path.is_file():
        return []
    whole = path.read_bytes().rpartition(b"\n")[0].splitlines()
    lines = [json.loads(line) for line in whole]
    if lines and lines[0] == json.loads(json.dumps(header)):
        with path.open("r+b") as journal:
            journal.truncate(sum(len(line) + 1 for line in whole))
        return lines[1:]
    if lines and not force:
        raise ValueError(
            f"{path} holds an unfinished run with other data or settings; remove it, name another --out, or start anew "
            "with --force"
        )
    path.unlink()
    return []


def _described(part: Sequence[Pair], filling: Filling) -> list[dict[str, Any]]:
    """A line for each pair: its text, and the fault if there is one."""
    lines: list[dict[str, Any]] = [{"text": ""} for _ in part]
    images = {}
    for i, pair in enumerate(part):
        try:
            images[i] = pair.image()
        except DataError as error:
            lines[i]["fault"] = _reason(error.__cause__)
    for i, text in zip(images, filling.describe(list(images.values())), strict=True):
        lines[i] = {"text": "", "fault": str(text)} if isinstance(text, Unreadable) else {"text": text}
    return lines


def _reason(error: BaseException | None) -> str:
    """Of a few words, to be counted."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, UnidentifiedImageError):
        return "no picture that Pillow knows"
    if isinstance(error, Image.DecompressionBombError):
        return "too many pixels"
    if isinstance(error, OSError) and "truncated" in str(error):
        return "cut off"
    return type(error).__name__


def _reasons(found: Sequence[Pair], done: Sequence[dict[str, Any]]) -> Counter[str]:
    faulty = [(pair, line["fault"]) for pair, line in zip(found, done, strict=True) if "fault" in line]
    for pair, fault in faulty[:_SHOWN]:
        print(f"{pair.where}: picture {pair.picture.path}: {fault}", file=sys.stderr)
    if len(faulty) > _SHOWN:
        print(f"… and {len(faulty) - _SHOWN} more", file=sys.stderr)
    return Counter(fault for _, fault in faulty)


def _write(source: Path, out: Path, column: str, found: Sequence[Pair], texts: Sequence[str], force: bool) -> None:
    if (source / "text.txt").is_file():
        with folder.fresh(out, "text.txt", force) as work:
            _twitter100k(source, work, column, found, texts)
    elif source.suffix == ".jsonl":
        with folder.replacing(out) as part, part.open("w", encoding="utf-8") as lines:
            for row in _json_rows(source, out, column, found, texts):
                lines.write(json.dumps(row, ensure_ascii=False) + "\n")
    elif source.is_file():
        _parquet(source, out, column, iter(texts))
    else:
        files, rest = pairs.parquet_files(source), iter(texts)
        with folder.fresh(out, str(files[0].relative_to(source)), force) as work:
            for file in files:
                _parquet(file, work / file.relative_to(source), column, rest)


def _twitter100k(source: Path, work: Path, column: str, found: Sequence[Pair], texts: Sequence[str]) -> None:
    shutil.copyfile(source / "text.txt", work / "text.txt")
    filled = TWITTER_FOLDERS[column]
    for name in {"images", *TWITTER_FOLDERS.values()} - {filled}:
        if (source / name).is_dir():
            (work / name).symlink_to((source / name).resolve())
    (work / filled).mkdir()
    for pair, text in zip(found, texts, strict=True):
        (work / filled / f"{pair.id}.txt").write_text(text, encoding="utf-8")


def _json_rows(
    source: Path, out: Path, column: str, found: Sequence[Pair], texts: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """One row a pair, so that each picture of a post has a text of its own."""

    def moved(item: dict[str, Any]) -> dict[str, Any]:
        url = item.get("url")
        if not url or urlparse(url).scheme or url.startswith("/"):
            return item
        return item | {"url": os.path.relpath(source.parent.resolve() / url, out.parent.resolve())}

    rest = zip(found, texts, strict=True)
    for where, row in pairs.json_rows(source):
        for _, item in pairs.row_pictures(row, where):
            pair, text = next(rest)
            picture = {"image": moved(item)["url"]} if "image" in row else {"media": [moved(item)]}
            yield row | {"id": pair.id, column: text} | picture


def _parquet(file: Path, out: Path, column: str, texts: Iterator[str]) -> None:
    """Rows of one file with the next texts; pictures that are paths are read in, as those would lead elsewhere."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    reader = pq.ParquetFile(file)
    image = reader.schema_arrow.field(pairs.image_column_of(reader.schema_arrow))

    def filled(table: pa.Table) -> pa.Table:
        cells = table.column(image.name).to_pylist()
        if any(cell["bytes"] is None for cell in cells):
            held = pa.array([_held(cell, file.parent) for cell in cells], image.type)
            table = table.set_column(table.schema.get_field_index(image.name), image, held)
        found = pa.array(list(islice(texts, len(table))), pa.string())
        at = table.schema.get_field_index(column)
        table = table.append_column(column, found) if at < 0 else table.set_column(at, column, found)
        return table.replace_schema_metadata(reader.schema_arrow.metadata)

    with (
        folder.replacing(out) as part,
        pq.ParquetWriter(part, filled(reader.schema_arrow.empty_table()).schema) as writer,
    ):
        for batch in reader.iter_batches(batch_size=256):
            writer.write_table(filled(pa.Table.from_batches([batch])))


def _held(cell: dict[str, Any], beside: Path) -> dict[str, Any]:
    path = beside / (cell["path"] or "")
    return cell | {"bytes": path.read_bytes()} if cell["bytes"] is None and path.is_file() else cell
