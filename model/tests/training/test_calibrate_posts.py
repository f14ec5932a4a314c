"""`itr calibrate` on the small bundle of the Go tests, and the labeller behind it on both bundles here."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from itr import calibrate
from itr.__main__ import main
from itr.labeller import Labeller

MODEL = Path(__file__).parents[2]
TINY, MINI = MODEL / "testdata" / "tiny-bundle", MODEL / "bundles" / "itr-mini"
RELATIONS = ("neither", "image_adds", "text_represented", "both")
WORDS = ["a", "the", "dog", "cat", "bridge", "river", "red", "blue", "look", "this", "here"]


@pytest.mark.parametrize("folder", [TINY, MINI])
def test_the_labeller_replays_golden_posts(folder: Path) -> None:
    labeller = Labeller(folder)
    for case in json.loads((folder / "golden.json").read_text()):
        ids = labeller.pieces.ids(case["text"])
        assert ids == case["input_ids"]
        pixels = labeller.pixels((folder / case["image"]).read_bytes())
        logits = labeller.logits(labeller.text([ids, ids]), pixels)
        np.testing.assert_allclose(logits, [case["logits"]] * 2, atol=1e-4)


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    """30 posts with inline pictures, and one whose picture is none."""
    rng = np.random.default_rng(4)
    lines = []
    for i in range(31):
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).save(file, "png")
        data = base64.b64encode(file.getvalue() if i != 7 else b"no picture").decode()
        text = " ".join(rng.choice(WORDS, 4))
        post = {"schema": "post.v1", "post_id": f"p{i}", "text": text, "media": [{"data": data}]}
        lines.append(json.dumps(post | {"relation": RELATIONS[i % 2]}))
    path = tmp_path / "posts.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def refitted(path: Path) -> calibrate.Calibration:
    found = yaml.safe_load(path.read_text())
    return calibrate.Calibration(np.array(found["matrix"]), np.array(found["bias"]), found["source"])


def all_logits(posts: Path) -> np.ndarray:
    labeller, rows = Labeller(TINY), []
    for line in posts.read_text().splitlines():
        post = json.loads(line)
        if post["post_id"] != "p7":
            pixels = labeller.pixels(base64.b64decode(post["media"][0]["data"]))
            rows.append(labeller.logits(labeller.text([labeller.pieces.ids(post["text"])]), pixels)[0])
    return np.stack(rows).astype(np.float64)


def test_the_mean_scores_become_the_priors(posts: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "mine.yaml"
    command = ["calibrate", str(TINY), str(posts), "--priors", "70,10,10,10", "--out", str(out)]
    assert main(command) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["pairs"], summary["unreadable"]) == (30, 1)
    assert summary["mean_score"]["after"]["neither"] == pytest.approx(0.7, abs=1e-6)
    found = refitted(out)
    assert found.source == "priors 70,10,10,10 over 30 pairs"
    assert yaml.safe_load(out.read_text())["bundle"] == Labeller(TINY).digest
    means = found.probabilities(all_logits(posts)).mean(0)
    np.testing.assert_allclose(means, (0.7, 0.1, 0.1, 0.1), atol=1e-5)

    assert main(command) == 1
    assert "--force replaces it" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0


def test_verdicts_are_the_posts_relations(posts: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "mine.yaml"
    assert main(["calibrate", str(TINY), str(posts), "--verdicts", "--out", str(out)]) == 0
    capsys.readouterr()
    own, found = Labeller(TINY).calibration, refitted(out)
    logits = all_logits(posts)
    judged = [0, 1] * 3 + [0] + [0, 1] * 11 + [0]
    assert len(judged) == len(logits)

    def likelihood(calibration: calibrate.Calibration) -> float:
        return np.log(calibration.probabilities(logits)[np.arange(len(logits)), judged]).mean()

    assert likelihood(found) > likelihood(own) + 0.05
    assert found.probabilities(logits)[:, 2:].mean() < own.probabilities(logits)[:, 2:].mean(), "none was judged so"


def test_what_cannot_be_fitted(posts: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    lines = posts.read_text().splitlines()
    few, unjudged, strange = tmp_path / "few.jsonl", tmp_path / "unjudged.jsonl", tmp_path / "strange.jsonl"
    few.write_text("\n".join(lines[:10]))
    unjudged.write_text("\n".join(lines[:25]).replace('"relation": "image_adds"', '"other": 1'))
    strange.write_text(lines[0].replace('"neither"', '"nether"'))
    for arguments, message in (
        ([str(few)], "9 pairs are too few to calibrate on: 20 at least"),
        ([str(unjudged), "--verdicts"], 'line 2: no "relation"'),
        ([str(strange)], "line 1: relation is 'nether'"),
        ([str(tmp_path / "gone.jsonl")], "gone.jsonl"),
    ):
        assert main(["calibrate", str(TINY), *arguments, "--out", str(tmp_path / "c.yaml")]) == 1, message
        assert message in capsys.readouterr().err
    assert main(["calibrate", str(tmp_path), str(posts)]) == 1
    assert "is no bundle" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["calibrate", str(TINY), str(posts), "--priors", "1,2,3"])
    assert "is not four numbers above 0" in capsys.readouterr().err
    assert not (tmp_path / "c.yaml").exists()
