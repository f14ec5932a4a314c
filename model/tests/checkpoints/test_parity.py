"""`itr parity` on tiny models, with a stand-in for the Go program, which has tests of its own on the same models."""

import io
import json
import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from itr import checkpoint, parity, run, specimens
from itr.__main__ import main
from itr.reading import Words

TESTDATA = Path(__file__).parents[2] / "testdata"
sys.path.insert(0, str(TESTDATA))
import twins  # noqa: E402

REPLAY = {
    "posts": 100,
    "equal_token_ids": 100,
    "equal_pixels": 100,
    "pixel_errors": {"max": 0, "mean": 0.0, "share_above_1": 0.0},
    "largest_absolute_differences": dict.fromkeys((*parity.OUTPUTS, "cam sums"), 9e-5),
}


@pytest.mark.parametrize("name", twins.TWINS)
def test_the_twins_of_the_go_tests_are_made_by_this_code(name, tmp_path):
    found, folder = twins.twin(name), TESTDATA / "twins" / name
    words, posts = Words(folder, found.variant.text), specimens.posts(twins.POSTS, twins.SEED, twins.LARGEST)
    with torch.no_grad():
        largest = parity.reference(found, words, posts, tmp_path)
    made, kept = (json.loads((at / "golden.json").read_text()) for at in (tmp_path, folder))
    graphs = run.load(folder)
    for got, want in zip(made, kept, strict=True):
        assert got.keys() == want.keys()
        for key, value in want.items():
            if isinstance(value, float) or (isinstance(value, list) and key != "input_ids"):
                np.testing.assert_allclose(got[key], value, atol=1e-4, err_msg=key)
            else:
                assert got[key] == value, key
        image = graphs.image(np.asarray(Image.open(tmp_path / got["pixels"]))[None])
        np.testing.assert_allclose(image[0], got["image_vector"], atol=1e-4)
    assert len({tuple(post["logits"]) for post in made}) == len(made)
    for output, value in largest.items():
        assert 1e-3 < value < 100, f"{output} is too small or too large to show a mistake"


def stand_in(folder: Path, replay: dict) -> Path:
    """A program that says what itrstream would, if it is asked as itrstream is."""
    program = folder / "itrstream"
    program.write_text(
        f"#!{sys.executable}\n"
        "import pathlib, sys\n"
        "model, verify, bundle, golden, reference, as_json = sys.argv[1:]\n"
        "assert (model, verify, golden, as_json) == ('model', 'verify', '--golden', '--json')\n"
        "assert (pathlib.Path(bundle) / 'bundle.yaml').is_file()\n"
        "assert (pathlib.Path(reference) / 'golden.json').is_file()\n"
        f"print({json.dumps(replay)!r})\n"
    )
    program.chmod(0o755)
    return program


@pytest.fixture
def arguments(tmp_path, monkeypatch) -> list[str]:
    """Of a run over one tiny model, whose bundle is there already; what is missing is the program."""

    def export(config):
        assert checkpoint.load(config.source).variant == twins.TWINS[config.tokenizer.name]
        shutil.copytree(config.tokenizer, config.out)

    monkeypatch.setattr(parity, "export", export)
    monkeypatch.setattr(parity, "VARIANTS", {"roberta-resnet": twins.TWINS["roberta-resnet"]})
    monkeypatch.setattr(parity, "POSTS", 3)
    return ["parity", "--tokenizers", str(TESTDATA / "twins"), "--out", str(tmp_path / "out"), "--itrstream"]


def test_what_misses_a_goal_fails_and_stays(arguments, tmp_path, capsys):
    far = REPLAY | {"largest_absolute_differences": REPLAY["largest_absolute_differences"] | {"cam": 2e-4}}
    assert main([*arguments, str(stand_in(tmp_path, far)), "--json"]) == 1
    (printed,) = json.loads(capsys.readouterr().out)
    assert printed["missed"] == ["cam"] and printed["replay"] == far
    (made,) = (tmp_path / "out").iterdir()
    assert made.name == printed["variant"]
    assert len(json.loads((made / "reference" / "golden.json").read_text())) == 3


def test_what_meets_the_goals_goes(arguments, tmp_path, capsys):
    assert main([*arguments, str(stand_in(tmp_path, REPLAY))]) == 0
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.endswith("verdict") and line.endswith("met")
    assert "9.0e-05 of" in line
    assert list((tmp_path / "out").iterdir()) == []


def test_no_program_is_said_before_the_work(arguments, tmp_path, capsys):
    assert main([*arguments, str(tmp_path / "nowhere")]) == 1
    assert "nowhere is no program" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({}, []),
        ({"equal_token_ids": 99}, ["token ids"]),
        ({"equal_pixels": 99, "pixel_errors": {"max": 9, "mean": 0.1, "share_above_1": 0.0009}}, []),
        ({"pixel_errors": {"max": 9, "mean": 0.1, "share_above_1": 0.0011}}, ["pixels"]),
        ({"largest_absolute_differences": dict.fromkeys(parity.OUTPUTS, float("nan"))}, list(parity.OUTPUTS)),
    ],
)
def test_goals(change, missed):
    assert parity.Parity("x", REPLAY | change, {}, {}).missed == missed


def test_posts_are_of_every_kind_and_the_same_again():
    posts = list(specimens.posts(60, seed=17, largest=40))
    assert posts == list(specimens.posts(60, 17, 40)) != list(specimens.posts(60, 18, 40))
    assert len({post.name for post in posts}) == 60
    assert len({post.text for post in posts}) > 50
    kinds = Counter()
    for post in posts:
        picture = Image.open(io.BytesIO(post.encoded))
        assert min(picture.convert("RGB").size) >= 12
        kinds[picture.format, picture.mode, picture.getexif().get(0x0112, 1)] += 1
        kinds["animated"] += getattr(picture, "is_animated", False)
        kinds["progressive"] += "progressive" in picture.info
        kinds["transparent"] += "transparency" in picture.info
    for kind in (
        *(("JPEG", mode, 1) for mode in ("RGB", "L", "CMYK")),
        *(("JPEG", "RGB", orientation) for orientation in (3, 6)),
        *(("PNG", mode, 1) for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "I;16")),
        *(("WEBP", mode, 1) for mode in ("RGB", "RGBA")),
        ("GIF", "P", 1),
        "animated",
        "progressive",
        "transparent",
    ):
        assert kinds[kind] >= 2, kind
