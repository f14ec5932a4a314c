"""Posts as pairs of one text and one picture, read from unlabelled data sets.

Three layouts are read: Parquet with Hugging Face's image column, such as the data sets that `itrstream collect` writes,
the folder layout of Twitter100k, and JSON lines.
Pictures stay where they are until asked for; texts are kept in memory. Whatever is wrong is a DataError that names the
file and the row.
"""

import base64
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlparse

from PIL import Image, UnidentifiedImageError

from itr.bundle import LABELS

POST_LENGTH = 140  # characters kept of each Twitter100k text, OCR text and caption
RELATIONS = 4
POST = "post.v1"
MANIFEST, COLLECTED = "manifest.json", "dataset.v1"  # of data sets that itrstream collects


class DataError(ValueError):
    """What is wrong with a data set, and where."""


@dataclass(frozen=True)
class Picture:
    """Encoded bytes of one picture: a whole file, or `length` bytes of one from `offset` on."""

    path: Path
    offset: int = 0
    length: int | None = None
    spill: IO[bytes] | None = None  # open file without a name of its own; read instead of `path`

    def read(self) -> bytes:
        if self.spill is not None:
            return os.pread(self.spill.fileno(), self.length or 0, self.offset)
        return self.path.read_bytes()

    @property
    def size(self) -> int:
        """Bytes; 0 for a file that is not there."""
        if self.length is not None:
            return self.length
        return self.path.stat().st_size if self.path.is_file() else 0


@dataclass(frozen=True)
class Pair:
    """One text with one picture. `id` is the picture's name without its ending, where the data set names pictures."""

    id: str
    text: str
    picture: Picture
    where: str  # file and row, for errors
    ocr: str | None = None
    caption: str | None = None
    relation: int | None = None  # 2·text_is_represented + image_adds

    def image(self) -> Image.Image:
        """The decoded picture as RGB; transparency is dropped, EXIF rotation ignored, both as in the paper's code."""
        try:
            return Image.open(io.BytesIO(self.picture.read())).convert("RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, UnidentifiedImageError) as error:
            raise DataError(f"{self.where}: picture {self.picture.path} cannot be read: {_reason(error)}") from error


def read(path: Path, *, image_column: str | None = None) -> list[Pair]:
    """All pairs of an unlabelled data set in its own order; the layout is told from what lies at `path`."""
    if not path.exists():
        raise DataError(f"{path}: no such data set")
    if (path / "text.txt").is_file():
        return _some(twitter100k(path), path)
    if path.suffix == ".jsonl":
        return _some(list(jsonl(path)), path)
    if path.suffix == ".parquet" or (path.is_dir() and any(path.rglob("*.parquet"))):
        return _some(parquet(path, image_column=image_column), path)
    raise DataError(f"{path}: neither a .jsonl file, nor Parquet, nor a folder with text.txt and images/ (Twitter100k)")


def twitter100k(folder: Path) -> list[Pair]:
    """text.txt line i with images/i.jpg, ocr/i.txt and ofa/i.txt, i from 1.

    Texts are cut at POST_LENGTH and keep their line end, links and mentions, as in the paper's code. OCR texts and
    captions that are not there are None; the tasks that need them say so.
    """
    text = folder / "text.txt"
    try:
        with text.open(encoding="utf-8") as lines:  # universal newlines: a lone CR ends a line too
            texts = [line[:POST_LENGTH] for line in lines]
    except UnicodeDecodeError as error:
        raise DataError(f"{text}: not UTF-8: {error}") from error
    return [
        Pair(
            id=str(i),
            text=line,
            picture=Picture(folder / "images" / f"{i}.jpg"),
            where=f"{text} line {i}",
            ocr=side_text(folder / "ocr" / f"{i}.txt"),
            caption=side_text(folder / "ofa" / f"{i}.txt"),
        )
        for i, line in enumerate(texts, start=1)
    ]


def side_text(path: Path) -> str | None:
    """OCR text or caption of one picture, cut at POST_LENGTH; None where the file is missing."""
    if not path.is_file():
        return None
    try:
        return path.read_text(encoding="utf-8")[:POST_LENGTH]
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8: {error}") from error


def jsonl(path: Path) -> Iterator[Pair]:
    """One post a line: {"text", "image"} with optional "id", "ocr", "caption", "relation", or a post of schema post.v1.

    A post of schema post.v1 gives one pair for each picture. Pictures are paths (relative ones lie beside the file),
    file: URLs, or in a post.v1 the base64 of their bytes.
    """
    spill = tempfile.TemporaryFile(prefix="itr-pictures-")  # noqa: SIM115 (it lives as long as its pairs)
    for where, row in json_rows(path):
        for suffix, media in row_pictures(row, where):
            if media.get("data"):
                picture = _inline(media["data"], spill, where)
            else:
                picture = Picture(_local(media["url"], path.parent, where))
            yield Pair(
                id=str(row.get("id") or row.get("post_id") or where.rpartition(" ")[2]) + suffix,
                text=row["text"],
                picture=picture,
                where=where,
                ocr=row.get("ocr"),
                caption=row.get("caption"),
                relation=relation_of(row.get("relation"), where),
            )


def json_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each line stands, and its object; "text" is a string, "" where a post.v1 leaves it out."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"{path} line {number}"
            try:
                row = json.loads(line)
            except ValueError as error:
                raise DataError(f"{where}: not JSON: {error}") from error
            if isinstance(row, dict) and row.get("schema") == POST and row.get("text") is None:
                row["text"] = ""
            if not isinstance(row, dict) or not isinstance(row.get("text"), str):
                raise DataError(f'{where}: a post is an object with a string "text"')
            yield where, row


def row_pictures(row: dict[str, Any], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Suffix of the pair's id, and "url" or "data", of each picture of one JSON line."""
    if isinstance(row.get("image"), str):
        yield "", {"url": row["image"]}
        return
    media = row.get("media")
    if media is None and row.get("schema") == POST:
        return
    if not isinstance(media, list):
        raise DataError(f'{where}: neither "image" (a path) nor "media" (a list)')
    images = [
        (item.get("index", place), item)
        for place, item in enumerate(media)
        if isinstance(item, dict)
        and (item.get("kind") or "image") == "image"
        and any(isinstance(item.get(key), str) and item[key] for key in ("url", "data"))
    ]
    for index, item in images:
        yield "" if len(images) == 1 else f"#{index}", item


def _inline(data: str, spill: IO[bytes], where: str) -> Picture:
    try:
        encoded = base64.b64decode(data, validate=True)
    except ValueError as error:
        raise DataError(f"{where}: the data of a picture is not base64: {error}") from error
    return _spilled(encoded, "(in the row)", spill)


def _spilled(encoded: bytes, name: str, spill: IO[bytes]) -> Picture:
    offset = spill.tell()
    spill.write(encoded)
    spill.flush()
    return Picture(Path(name), offset, len(encoded), spill)


def _local(image: str, folder: Path, where: str) -> Path:
    url = urlparse(image)
    if url.scheme in ("http", "https"):
        raise DataError(
            f"{where}: picture {image} is not on this machine; fetch the pictures first and name them by path"
        )
    return folder / (unquote(url.path) if url.scheme == "file" else image)


def parquet(path: Path, *, split: str | None = None, image_column: str | None = None) -> list[Pair]:
    """Rows of one Parquet file, or of all (those of one split: `split-….parquet`) of a folder.

    The picture is a column of struct<bytes, path>, found by its type unless named; then come text, and optionally id,
    ocr, caption, relation. Bytes are copied once into a nameless temporary file, so that shuffled reading stays cheap.
    """
    files = parquet_files(path)
    if split is not None:
        files = [file for file in files if file.stem == split or file.name.startswith(split + "-")]
    spill = tempfile.TemporaryFile(prefix="itr-pictures-")  # noqa: SIM115 (it lives as long as its pairs)
    pairs: list[Pair] = []
    for file in files:
        pairs.extend(_parquet_rows(file, spill, image_column))
    return pairs


def parquet_files(path: Path) -> list[Path]:
    """One file, or all of a folder in the order of their rows; of a collected data set those in its manifest."""
    if path.is_file():
        return [path]
    collected = (path / MANIFEST).is_file() and (path / "log").is_dir()
    return collected_files(path) if collected else sorted(path.rglob("*.parquet"))


def collected_files(folder: Path) -> list[Path]:
    """The shards of a data set by `itrstream collect`.

    Others may lie beside them: of a collector that is writing, or from before a takedown. Those are not to be read.
    """
    manifest = folder / MANIFEST
    try:
        told = json.loads(manifest.read_text(encoding="utf-8"))
        if told["schema"] != COLLECTED:
            raise DataError(f"{manifest}: schema {told['schema']!r}, not {COLLECTED}: a newer itrstream wrote it")
        files = [folder / shard["path"] for shard in told["shards"]]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{manifest}: no manifest of a data set: {error!r}") from error
    missing = next((file for file in files if not file.is_file()), None)
    if missing is not None:
        raise DataError(f"{missing}: is named by {MANIFEST} and not there: a takedown replaced it just now; try again")
    return files


def _parquet_rows(file: Path, spill: IO[bytes], image_column: str | None) -> Iterator[Pair]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{file}: not Parquet: {error}") from error
    schema = table.schema_arrow
    image = image_column or image_column_of(schema)
    if image is None or image not in schema.names:
        raise DataError(f"{file}: no column {image or 'of type struct<bytes, path>'}; it has {', '.join(schema.names)}")
    if "text" not in schema.names:
        raise DataError(f"{file}: no column text; it has {', '.join(schema.names)}")
    columns = [image, *(name for name in ("id", "text", "ocr", "caption", "relation") if name in schema.names)]
    number = 0
    try:
        for batch in table.iter_batches(batch_size=256, columns=columns):
            for row in batch.to_pylist():
                number += 1
                where = f"{file} row {number}"
                yield Pair(
                    id=str(row.get("id") or (row[image] or {}).get("path") or f"{file.stem}-{number}"),
                    text=row["text"] or "",
                    picture=_cell(row[image], file.parent, spill, where),
                    where=where,
                    ocr=row.get("ocr"),
                    caption=row.get("caption"),
                    relation=relation_of(row.get("relation"), where),
                )
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{file}: after row {number}: {error}") from error


def image_column_of(schema: Any) -> str | None:
    """The first column of struct<bytes, path>."""
    for field in schema:
        kind = field.type
        if hasattr(kind, "num_fields") and {kind.field(i).name for i in range(kind.num_fields)} >= {"bytes", "path"}:
            return field.name
    return None


def _cell(cell: dict[str, Any] | None, folder: Path, spill: IO[bytes], where: str) -> Picture:
    if cell and cell.get("bytes") is not None:
        return _spilled(cell["bytes"], cell.get("path") or "(in the row)", spill)
    if cell and cell.get("path"):
        return Picture(folder / cell["path"])
    raise DataError(f"{where}: the picture has neither bytes nor a path")


def relation_of(value: Any, where: str) -> int | None:
    """The relation's id 0…3, given as such or by its name; None for rows without one."""
    if value in LABELS:
        return LABELS.index(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value < RELATIONS):
        return value
    raise DataError(
        f"{where}: relation is {value!r}, not 0…3 (2·text_is_represented + image_adds) or one of {', '.join(LABELS)}"
    )


def check_pictures(pairs: Iterable[Pair]) -> None:
    """Reads every picture's header, so that no long run ends at row 90,000; a cut-off picture is found when decoded."""
    faults = []
    for pair in pairs:
        try:
            Image.open(io.BytesIO(pair.picture.read())).close()
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            faults.append(f"{pair.where}: picture {pair.picture.path} cannot be read: {_reason(error)}")
    if faults:
        more = f"\n… and {len(faults) - 10} more" if len(faults) > 10 else ""
        raise DataError("\n".join(faults[:10]) + more)


def _reason(error: Exception) -> str:
    # Pillow names the object in memory instead of the file.
    return "it is no image" if isinstance(error, UnidentifiedImageError) else str(error)


def digest(pairs: Sequence[Pair]) -> str:
    """SHA-256 over ids, texts, labels and sizes of the pictures, in order."""
    sha = hashlib.sha256()
    for pair in pairs:
        row = [pair.id, pair.text, pair.ocr, pair.caption, pair.relation, pair.picture.size]
        sha.update(json.dumps(row).encode() + b"\n")
    return sha.hexdigest()


def _some(pairs: list[Pair], path: Path) -> list[Pair]:
    if not pairs:
        raise DataError(f"{path}: the data set is empty")
    return pairs
