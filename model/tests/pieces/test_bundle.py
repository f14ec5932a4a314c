"""The shipped bundle: what its manifest lists is there, golden cases replay, rows know nothing of each other, and its
card is of today's text and figures.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from itr import bundle, pictures, run, verify

MINI = Path(__file__).parents[2] / "bundles" / "itr-mini"


@pytest.fixture(scope="module")
def graphs() -> run.Graphs:
    return run.load(MINI)


@pytest.fixture(scope="module")
def cases() -> list[dict]:
    return json.loads((MINI / "golden.json").read_text())


@pytest.fixture(scope="module")
def pixels(cases) -> np.ndarray:
    settings = bundle.read(MINI)["image"]
    return np.stack([pictures.load(MINI / case["image"], settings) for case in cases])


def test_files_are_those_of_the_manifest_and_small_enough_for_git():
    manifest = bundle.read(MINI)
    assert manifest["labels"] == list(bundle.LABELS)
    assert sum(path.stat().st_size for path in MINI.rglob("*") if path.is_file()) <= 29_000_000


def test_golden_cases_replay():
    for name, difference in verify.differences(MINI).items():
        assert difference < 1e-3, name


def test_a_row_does_not_depend_on_its_batch(graphs, cases, pixels):
    pixels = np.concatenate([pixels] * 2)
    text = graphs.text([case["input_ids"] for case in cases] * 2)
    image = graphs.image(pixels, batch=len(pixels))
    together = (image, *graphs.head(text, image), graphs.explain(pixels, text))
    assert len(pixels) == 32
    for i in (0, 3, 8, 31):
        one = slice(i, i + 1)
        alone_image = graphs.image(pixels[one])
        alone = (alone_image, *graphs.head(text[one], alone_image), graphs.explain(pixels[one], text[one]))
        for got, want in zip(alone, together, strict=True):
            np.testing.assert_allclose(got[0], want[i], atol=1e-4)


def test_outputs_keep_their_promises(graphs, cases, pixels):
    text = graphs.text([case["input_ids"] for case in cases])
    image = graphs.image(pixels)
    logits, similarity, embedding = graphs.head(text, image)
    assert np.abs(similarity).max() <= 1.0
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(logits[:, 0], 0.0)
    np.testing.assert_allclose(logits[:, 3], logits[:, 1] + logits[:, 2], atol=1e-5)


def test_the_card_says_what_the_package_would_write():
    card, package = (MINI / "MODEL_CARD.md").read_text(), Path(run.__file__).parent
    lines = (package / "model_card.md").read_text().splitlines()
    assert [line for line in lines if "{" not in line and line not in card] == []
    studied = json.loads((package / "study.json").read_text())["figures"]
    assert {"mini: no pre-training", "from scratch: no pre-training"} <= studied.keys()
    for name, values in studied.items():
        assert f"| {name} | {np.mean(values):.1f} ± {np.std(values):.1f} |" in card


def test_a_changed_file_is_named(tmp_path):
    copy = tmp_path / "bundle"
    shutil.copytree(MINI, copy, ignore=shutil.ignore_patterns("*.onnx"))
    with pytest.raises(ValueError, match="text.onnx is missing"):
        bundle.read(copy)
    (copy / "vocab.txt").write_text("[PAD]\n")
    with pytest.raises(ValueError, match="vocab.txt has another SHA-256"):
        bundle.read(copy)
