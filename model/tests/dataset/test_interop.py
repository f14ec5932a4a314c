"""A data set that the Go program collected, opened by what people open data sets with. Nothing is asked of the net."""

import hashlib
import io
import json
from pathlib import Path

import datasets
import duckdb
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest
from PIL import Image

from itr.bundle import LABELS

SHARDS = "data/**/*.parquet"


@pytest.fixture(scope="module")
def manifest(collected: Path) -> dict:
    told = json.loads((collected / "manifest.json").read_text())
    assert told["rows"] > 200
    return told


def opened(image: Image.Image, encoded: bytes, digest: str) -> None:
    image.convert("RGB").load()
    assert min(image.size) > 1
    assert hashlib.sha256(encoded).hexdigest() == digest


def check(loaded: datasets.Dataset, manifest: dict) -> None:
    assert len(loaded) == manifest["rows"]
    assert loaded.features["image"] == datasets.Image()
    assert loaded.features["relation"] == datasets.ClassLabel(names=list(LABELS))
    raw = loaded.cast_column("image", datasets.Image(decode=False))
    for decoded, row in zip(loaded, raw, strict=True):
        opened(decoded["image"], row["image"]["bytes"], row["image_digest"])
        assert row["image"]["path"].startswith(row["image_digest"] + ".")
        assert row["relation"] == max(range(4), key=row["scores"].__getitem__)
        assert 0 < row["inclusion_probability"] <= 1
    names = [LABELS[i] for i in loaded["relation"]]
    assert {name: names.count(name) for name in LABELS if name in names} == manifest["statistics"]["relations"]


def test_datasets_opens_the_shards(collected: Path, manifest: dict, tmp_path: Path) -> None:
    loaded = datasets.load_dataset(
        "parquet", data_files=str(collected / SHARDS), split="train", cache_dir=str(tmp_path)
    )
    check(loaded, manifest)


def test_datasets_opens_the_folder_by_its_card(collected: Path, manifest: dict, tmp_path: Path) -> None:
    loaded = datasets.load_dataset(str(collected), cache_dir=str(tmp_path))
    assert list(loaded) == ["train"]
    check(loaded["train"], manifest)
    card = datasets.load_dataset_builder(str(collected), cache_dir=str(tmp_path)).info.features
    assert card == loaded["train"].features
    assert card == datasets.Features.from_arrow_schema(pa.parquet.read_schema(next(collected.glob(SHARDS))))


def test_datasets_streams(collected: Path, tmp_path: Path) -> None:
    stream = datasets.load_dataset(str(collected), streaming=True, split="train", cache_dir=str(tmp_path))
    row = next(iter(stream.shuffle(seed=1, buffer_size=8)))
    assert isinstance(row["image"], Image.Image)


def test_pyarrow_opens_the_shards(collected: Path, manifest: dict) -> None:
    table = pa.dataset.dataset(collected / "data", partitioning="hive").to_table()
    assert table.num_rows == manifest["rows"]
    assert table.schema.field("image").type == pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    assert table.schema.field("relation").type == pa.int64()
    assert set(map(str, table["day"].to_pylist())) == set(manifest["statistics"]["days"])
    assert table["ocr"].null_count == table["caption"].null_count == table.num_rows
    row = table.slice(7, 1).to_pylist()[0]
    opened(Image.open(io.BytesIO(row["image"]["bytes"])), row["image"]["bytes"], row["image_digest"])
    for path in collected.glob(SHARDS):
        shard = pa.parquet.ParquetFile(path)
        assert all(field.nullable for field in shard.schema_arrow)  # or datasets forgets Image and ClassLabel
        group = shard.metadata.row_group(0)
        assert {group.column(i).compression for i in range(group.num_columns)} == {"ZSTD"}


def test_duckdb_opens_the_shards(collected: Path, manifest: dict) -> None:
    shards = f"read_parquet('{collected / SHARDS}', hive_partitioning = true)"
    with duckdb.connect() as db:
        counts = db.sql(f"SELECT relation, count(*) FROM {shards} GROUP BY relation").fetchall()
        assert {LABELS[relation]: n for relation, n in counts} == manifest["statistics"]["relations"]
        query = (
            f"SELECT image.bytes, image_digest, langs FROM {shards} WHERE len(langs) > 0 ORDER BY post_id, pair LIMIT 5"
        )
        for encoded, digest, langs in db.sql(query).fetchall():
            opened(Image.open(io.BytesIO(encoded)), encoded, digest)
            assert all(isinstance(lang, str) for lang in langs)


def test_the_manifest_names_what_is_there(collected: Path, manifest: dict) -> None:
    there = {str(path.relative_to(collected)) for path in collected.glob(SHARDS)}
    assert there == {shard["path"] for shard in manifest["shards"]}
    for shard in manifest["shards"]:
        assert hashlib.sha256((collected / shard["path"]).read_bytes()).hexdigest() == shard["sha256"]
    assert "privacy@example.org" in (collected / "README.md").read_text()
