"""The subcommands from end to end on small encoders in Hugging Face's folders."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from itr import checkpoint, pictures, reading, regions
from itr.__main__ import main
from itr.pairs import DataError, Pair, Picture
from itr.single_tower import Lxmert, VisualBert
from itr.towers import ClipImage, VitImage, fitting


def test_from_posts_to_figures(
    tmp_path: Path, encoders: tuple[Path, Path], data: Path, capsys: pytest.CaptureFixture
) -> None:
    text, image = map(str, encoders)
    base = ["--text", text, "--image", image]
    labelled, news = ["--labelled", str(data / "labelled")], ["--news", str(data / "news")]
    run = [*base, "--pairs", str(data / "posts.jsonl"), "--subset", "12", "--batch", "8", *labelled, *news]
    assert main(["pretrain", *run, "--out", str(tmp_path / "run")]) == 0
    summary = json.loads(capsys.readouterr().out)
    name = "tinybert+tinyvit(1+4)_k4_0"
    saved = tmp_path / "run" / summary["checkpoint"]
    assert saved.name == f"{name}.pt"
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 2
    assert main(["pretrain", *run, "--out", str(tmp_path / "run")]) == 1
    assert "--force" in capsys.readouterr().err

    # The saved file is a checkpoint like a published one, and its figures are those of the last iteration.
    assert checkpoint.load(saved).clustering_head == 1
    trained = ["--checkpoint", str(saved), "--tokenizer", text, "--out", str(tmp_path / "eval"), "--batch", "8"]
    assert main(["probe", *trained, *labelled]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["probe"] == pytest.approx({part: summary["probe"]["last"][part] for part in ("t", "v", "tv")})
    log = json.loads((tmp_path / "eval" / "log" / f"linear-probe_{name}.json").read_text())
    assert log["f1s_tv"] == [found["probe"]["tv"]]
    assert (tmp_path / "eval" / f"confusion_linear-probe_{name}.png").is_file()
    assert main(["probe", *trained, *labelled]) == 1
    assert "is there already" in capsys.readouterr().err

    assert main(["zeroshot", *trained, *labelled]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["mapped_by_test_labels"]["tv"] >= found["mapped_by_training_labels"]["tv"]
    assert main(["fakenews", *trained, *news]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["auroc"] == pytest.approx(summary["fakenews_auroc"]["last"])
    assert len(found["auroc_classes"]["each"]) == 4
    tune = ["--checkpoint", str(saved), "--tokenizer", text, "--out", str(tmp_path / "tuned"), "--epochs", "2"]
    assert main(["finetune", *tune, *labelled]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (tmp_path / "tuned" / found["checkpoint"]).name == f"fine-tune_{name}.pt"
    assert set(found["fine_tune"]) == {"paper", "last", "dev_selected"}


def test_several_seeds_give_mean_and_deviation(
    tmp_path: Path, encoders: tuple[Path, Path], data: Path, capsys: pytest.CaptureFixture
) -> None:
    base = ["--text", str(encoders[0]), "--image", str(encoders[1]), "--batch", "8", "--seeds", "0,32"]
    labelled, news = ["--labelled", str(data / "labelled")], ["--news", str(data / "news")]
    for job, more, figure in (
        ("probe", labelled, "probe tv"),
        ("zeroshot", labelled, "mapped_by_training_labels tv"),
        ("fakenews", news, "auroc"),
        ("finetune", [*labelled, "--epochs", "2"], "fine_tune dev_selected tv"),
    ):
        out = tmp_path / job
        assert main([job, *base, *more, "--out", str(out)]) == 0
        said = capsys.readouterr().out
        whole = json.loads((out / "seeds.json").read_text())
        value = whole
        for key in figure.split():
            value = value[key]
        assert f"{figure:45} {value['mean']:.4f} ± {value['sd']:.4f}" in said
        assert "over seeds 0, 32" in said
        first = json.loads((out / "seed-0" / "found.json").read_text())["found"]
        for key in figure.split():
            first = first[key]
        assert value["each"][0] == first and len(value["each"]) == 2
    # A seed that was finished, but whose figures were not written down, is not trained again.
    out = tmp_path / "finetune"
    (out / "seeds.json").unlink()
    (out / "seed-32" / "found.json").unlink()
    before = (out / "seed-32" / "metrics.jsonl").stat().st_mtime_ns
    assert main(["finetune", *base, *labelled, "--epochs", "2", "--out", str(out)]) == 0
    assert json.loads((out / "seeds.json").read_text()) == whole
    assert (out / "seed-32" / "metrics.jsonl").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--clip", "gone", "--checkpoint", "gone"], "name one model"),
        (["--text", "gone"], "name one model"),
        (["--text", "gone", "--image", "gone"], "gone is no model folder"),
        (["--checkpoint", "gone.pt"], "--tokenizer"),
        (["--checkpoint", "gone.pt", "--tokenizer", "gone"], "gone.pt"),
        (["--text", "gone", "--image", "gone", "--device", "abacus"], "--device abacus"),
        (["--text", "gone", "--image", "gone", "--device", "cuda:77"], "--device cuda:77"),
    ],
)
def test_models_that_cannot_be(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture, arguments: list[str], message: str
) -> None:
    labelled = ["--labelled", str(data / "labelled"), "--out", str(tmp_path / "out")]
    assert main(["probe", *labelled, *arguments]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_building_the_shipped_bundle_replaces_none_unless_asked(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "bundle.yaml").write_text("format: 1\n")
    assert main(["mini", "--out", str(tmp_path)]) == 1
    assert "is there already; --force" in capsys.readouterr().err
    assert (tmp_path / "bundle.yaml").read_text() == "format: 1\n"


def test_pixels_squash_and_crop() -> None:
    wide = Image.new("RGB", (300, 100), (255, 0, 0))
    wide.paste((0, 0, 255), (100, 0, 200, 100))
    squashed = pictures.fit(wide, fitting(VitImage()))
    assert squashed.shape == (224, 224, 3)
    assert squashed[0, 5].tolist() == squashed[0, 218].tolist() == [255, 0, 0]
    # Cropped, the middle third is all there is.
    for image in (wide, wide.rotate(90, expand=True)):
        cropped = pictures.fit(image, fitting(ClipImage()))
        assert cropped.shape == (224, 224, 3)
        assert (cropped[5:-5, 5:-5] == [0, 0, 255]).all()


def test_the_default_model_needs_posts_only(
    tmp_path: Path, packages: Path, data: Path, capsys: pytest.CaptureFixture
) -> None:
    posts = ["--pairs", str(data / "posts.jsonl"), "--size", "8", "--batch", "4", "--cache", str(packages)]
    assert main(["pretrain", *posts, "--out", str(tmp_path / "run"), "--freeze-image", "--freeze-text"]) == 0
    saved = tmp_path / "run" / json.loads(capsys.readouterr().out)["checkpoint"]
    state = torch.load(saved, weights_only=True)
    assert state["adapter_t.up.weight"].abs().max() > 0  # learns although its tower is frozen
    again = ["--checkpoint", str(saved), "--cache", str(packages), "--out", str(tmp_path / "eval")]
    assert main(["fakenews", *again, "--news", str(data / "news")]) == 0
    assert 0 <= json.loads(capsys.readouterr().out)["auroc"] <= 1


def write_regions(path: Path, names: list[str], boxes: int, width: int) -> None:
    rng = np.random.default_rng(0)
    lines = []
    for name in names:
        ids, confidence = np.zeros(boxes, "<i8"), np.ones(boxes, "<f4")
        corners = np.tile(np.array([10, 20, 50, 100], "<f4"), (boxes, 1))
        features = rng.random((boxes, width)).astype("<f4")
        arrays = [base64.b64encode(a.tobytes()).decode() for a in (ids, confidence, ids, confidence, corners, features)]
        lines.append("\t".join([name, "200", "100", *arrays[:4], str(boxes), *arrays[4:]]))
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("variant", [VisualBert, Lxmert])
def test_single_towers_read_regions(tmp_path: Path, encoders: tuple[Path, Path], variant: type) -> None:
    from itr.embed import embed, embed_for_clusters

    small = {"width": 64, "inner": 64, "features": 6}
    small |= {"layers": 1} if variant is VisualBert else {"text_layers": 1, "image_layers": 1, "cross_layers": 1}
    torch.manual_seed(3)
    built = variant(**small).build()
    found = checkpoint.Checkpoint(built.variant, built.state_dict(), "test")
    write_regions(tmp_path / "butd.tsv", ["1", "2", "3"], 4, 6)
    file = regions.read(tmp_path / "butd.tsv")
    with pytest.raises(ValueError, match="looks at regions"):
        reading.model(found, encoders[0], None, torch.device("cpu"))
    model = reading.model(found, encoders[0], file, torch.device("cpu")).eval()
    pairs = [Pair(str(i), "abc" * i, Picture(Path("none")), f"row {i}", ocr="xyz" * i) for i in (1, 2, 3)]
    with torch.no_grad():
        together, alone = embed(model, pairs), embed(model, pairs[1:2])
        for_clusters = embed_for_clusters(model, pairs, "2").pair
    assert together.pair.shape == together.text.shape == together.image.shape == (3, 64)
    torch.testing.assert_close(together.rows([1]).text, alone.text, rtol=1e-4, atol=1e-5)
    assert for_clusters.shape == (3, 128 if variant is VisualBert else 64)
    with pytest.raises(DataError, match="row 9: picture 9 has no row in"):
        embed(model, [Pair("9", "a", Picture(Path("none")), "row 9")])


def test_regions_are_shares_of_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "butd.tsv"
    write_regions(path, ["1", "2"], 3, 5)
    features, boxes = regions.read(path).of("2", "row 2")
    assert features.shape == (3, 5)
    np.testing.assert_allclose(boxes[0], [0.1, 0.1, 0.5, 0.5])
    path.write_text(path.read_text().replace("\t3\t", "\t7\t"))
    with pytest.raises(DataError, match="picture 2: cannot reshape"):
        regions.read(path).of("2", "row 2")
    path.write_text("1\t2\t3\n")
    with pytest.raises(DataError, match="picture 1: 3 columns instead of 10"):
        regions.read(path).of("1", "row 1")
    path.write_text("")
    with pytest.raises(DataError, match="empty"):
        regions.read(path)
