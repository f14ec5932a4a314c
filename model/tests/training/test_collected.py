"""From a stream to a pre-trained model: what the Go program collects is pre-trained on as it is."""

import json
from pathlib import Path

import pytest
import torch

from itr import checkpoint
from itr.__main__ import main
from itr.pairs import check_pictures, digest, read

SUBSET, BATCH = 60, 16


def test_pairs_are_those_of_the_manifest(collected: Path) -> None:
    pairs = read(collected)
    counts = json.loads((collected / "manifest.json").read_text())["statistics"]
    assert len(pairs) == counts["rows"]
    assert sum(pair.picture.size for pair in pairs) == counts["image_bytes"]
    assert sum(len(pair.text.encode()) for pair in pairs) == counts["text_bytes"]
    assert {pair.relation for pair in pairs} == {0, 1, 2, 3}
    assert all(pair.ocr is None and pair.caption is None for pair in pairs)
    check_pictures(pairs)


def test_pre_training_on_a_collected_data_set(
    collected: Path, encoders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    text, image = map(str, encoders)
    out = tmp_path / "run"
    run = ["pretrain", "--pairs", str(collected), "--text", text, "--image", image, "--out", str(out)]
    sizes = ["--subset", str(SUBSET), "--batch", str(BATCH)]
    assert main([*run, *sizes]) == 0
    summary = json.loads(capsys.readouterr().out)
    pairs = read(collected)
    metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert len(metrics) == len(pairs) // SUBSET
    assert json.loads((out / "run.json").read_text())["data_sha256"]["pairs"] == digest(pairs)
    trained = checkpoint.load(out / summary["checkpoint"])
    assert trained.clustering_head == 1
    assert all(torch.isfinite(value).all() for value in trained.state.values())

    # Nobody has read the pictures' text, and the task that needs it says so.
    assert main([*run, *sizes, "--tasks", "2+4", "--force"]) == 1
    assert "no ocr text" in capsys.readouterr().err
