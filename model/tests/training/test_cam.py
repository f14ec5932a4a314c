"""`itr cam` on the bundles of this repository: occlusion against graphs run by hand, files, figure."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from itr import overlay
from itr.__main__ import main
from itr.explain import explain
from itr.labeller import Labeller

MODEL = Path(__file__).parents[2]
TINY, MINI = MODEL / "testdata" / "tiny-bundle", MODEL / "bundles" / "itr-mini"
TEXT = "look a dog running!"  # run ##ning: two ids, one word
RELATIONS = ("neither", "image_adds", "text_represented", "both")


def run(name: str, outputs: list[str], **inputs: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(TINY / f"{name}.onnx", providers=["CPUExecutionProvider"])
    return session.run(outputs, inputs)


def logits(ids: list[int], pixels: np.ndarray) -> np.ndarray:
    row = np.array([ids])
    text = run("text", ["text"], input_ids=row, attention_mask=np.ones_like(row))[0]
    return run("head", ["logits"], text=text, image=run("image", ["image"], pixels=pixels[None])[0])[0][0]


def test_a_word_contributes_what_its_leaving_takes() -> None:
    vocabulary = (TINY / "vocab.txt").read_text().split()
    ids = [vocabulary.index(piece) for piece in ["[CLS]", "look", "a", "dog", "run", "##ning", "!", "[SEP]"]]
    pixels = np.array(Image.open(TINY / "golden" / "0.png"))
    found = explain(Labeller(TINY), pixels, TEXT)
    assert found.words == ["look", "a", "dog", "running", "!"]
    full = logits(ids, pixels)
    np.testing.assert_allclose(found.logits, full, atol=1e-6)
    for row, (start, end) in enumerate([(1, 2), (2, 3), (3, 4), (4, 6), (6, 7)]):
        without = logits(ids[:start] + ids[end:], pixels)
        np.testing.assert_allclose(found.by_word[row], (full - full.mean()) - (without - without.mean()), atol=1e-5)
    assert np.abs(found.by_word).max() > 0.05, "words that do nothing would equal anything"
    np.testing.assert_allclose(found.by_word.sum(1), 0, atol=1e-6)
    calibrated = Labeller(TINY).calibration.probabilities(full[None])[0]
    np.testing.assert_allclose(found.scores, calibrated, atol=1e-6)
    assert found.relation == calibrated.argmax()


def test_the_strongest_words_keep_their_order() -> None:
    pixels = np.array(Image.open(TINY / "golden" / "0.png"))
    found = explain(Labeller(TINY), pixels, TEXT)
    most = set(np.argsort(-np.abs(found.by_word[:, 2]))[:3].tolist())
    assert found.strongest(2, 3) == sorted(most)
    assert found.strongest(2, 99) == [0, 1, 2, 3, 4]
    assert explain(Labeller(TINY), pixels, "").by_word.shape == (0, 4)


def test_json_has_the_maps_of_the_golden_post(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    case = json.loads((MINI / "golden.json").read_text())[0]
    image, out = MINI / case["image"], tmp_path / "post.json"
    command = ["cam", str(MINI), str(image), case["text"], "--json", str(out), "--out", str(tmp_path / "post.png")]
    assert main(command) == 0
    found = json.loads(out.read_text())
    cells = np.array([found["cam"][relation] for relation in RELATIONS])
    assert cells.shape == (4, 14, 14)
    np.testing.assert_allclose(cells.sum((1, 2)), case["cam_sums"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose([found["logits"][relation] for relation in RELATIONS], case["logits"], atol=1e-4)
    assert sum(found["scores"].values()) == pytest.approx(1, abs=1e-4)
    assert found["relation"] == max(found["scores"], key=found["scores"].get)
    words = [row["word"] for row in found["words"]]
    assert " ".join(words).lower() == case["text"].lower()
    printed = capsys.readouterr().out
    assert printed.startswith(found["relation"])
    for row in found["words"]:
        assert f"{row['contribution'][found['relation']]:+.3f}  {row['word']}" in printed

    assert main(command) == 1
    assert "post.png is there already; --force replaces it" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0


def colours(image: Image.Image) -> set[tuple[int, ...]]:
    return {tuple(pixel) for pixel in np.array(image.convert("RGB")).reshape(-1, 3).tolist()}


def test_the_figure_shows_picture_and_heat(tmp_path: Path) -> None:
    image, one, all_four = TINY / "golden" / "0.png", tmp_path / "one.png", tmp_path / "all.png"
    base = ["cam", str(TINY), str(image), TEXT]
    assert main([*base, "--relation", "both", "--out", str(one)]) == 0
    assert main([*base, "--all", "--out", str(all_four)]) == 0
    # A picture, a heat map for each relation, and the words' bars, of one width.
    assert Image.open(all_four).width == 2 * Image.open(one).width
    assert Image.open(all_four).height == Image.open(one).height
    pixels = np.array(Image.open(image))
    found = explain(Labeller(TINY), pixels, TEXT)
    shown = colours(Image.open(one))
    for panel in (pixels, overlay.paint(pixels, found.maps[3])):
        assert {tuple(pixel) for pixel in panel.reshape(-1, 3).tolist()} <= shown
    heat = [overlay.paint(pixels, found.maps[relation]) for relation in range(4)]
    assert {tuple(pixel) for painted in heat for pixel in painted.reshape(-1, 3).tolist()} <= colours(
        Image.open(all_four)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([str(TINY), str(TINY / "vocab.txt"), "a"], "vocab.txt cannot be read as a picture"),
        ([str(TINY), "gone.png", "a"], "gone.png"),
        (["gone", "gone.png", "a"], "gone is no bundle"),
        ([str(MINI), str(TINY / "golden" / "0.png"), "a", "--eigen-smooth"], "itr-mini's add two factors"),
    ],
)
def test_what_cannot_be_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture, arguments: list[str], message: str
) -> None:
    assert main(["cam", *arguments, "--out", str(tmp_path / "cam.png")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "cam.png").exists()
