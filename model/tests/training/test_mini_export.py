"""From pre-training MiniLM and EfficientNet-Lite0 to a bundle, on random weights."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from itr import bundle, checkpoint, mini_towers, run, verify
from itr.__main__ import main

ORDER = (2, 0, 3, 1)


@pytest.fixture
def trained(
    tmp_path: Path,
    packages: Path,
    data: Path,
    capsys: pytest.CaptureFixture,
) -> Path:
    posts = ["--pairs", str(data / "posts.jsonl"), "--size", "8", "--batch", "4", "--cache", str(packages)]
    assert main(["pretrain", *posts, "--out", str(tmp_path / "run"), "--freeze-image", "--freeze-text"]) == 0
    saved = tmp_path / "run" / json.loads(capsys.readouterr().out)["checkpoint"]
    # Adapters that have learnt more than a test has time for.
    state = torch.load(saved, weights_only=True)
    torch.manual_seed(4)
    for key in ("adapter_t.up.weight", "adapter_v.up.weight", "adapter_v.up.bias"):
        state[key] = 0.1 * torch.randn_like(state[key])
    for key in state:
        if key.startswith("encoder_v.") and key.endswith(".conv.weight"):
            state[key] *= 6**0.5  # so that pictures are still told apart behind the last layer
    torch.save(state, saved)
    return saved


def test_a_pretrained_mini_becomes_a_bundle(
    tmp_path: Path,
    trained: Path,
    packages: Path,
    data: Path,
    make_pairs: Callable,
    capsys: pytest.CaptureFixture,
) -> None:
    out, cache = tmp_path / "bundle", ["--cache", str(packages)]
    assert main(["export", str(trained), *cache, "--out", str(out), "--relations", ",".join(map(str, ORDER))]) == 0
    manifest, graphs = bundle.read(out), run.load(out)
    assert "head1 of its clustering" in (out / "MODEL_CARD.md").read_text()
    assert max(verify.differences(out).values()) < 1e-5

    model = mini_towers.restored(checkpoint.read_state(trained), mini_towers.vocabulary(packages))
    pairs = make_pairs(3, 9)
    texts, images = [pair.text for pair in pairs], [pair.image() for pair in pairs]
    pixels = np.stack([np.asarray(image.resize((224, 224), 2)) for image in images])
    ids = [model.tokens(text)["input_ids"] for text in texts]
    with torch.no_grad():
        related = model.relate(model.encode_text(texts), model.encode_image(images))
    text, image = graphs.text(ids), graphs.image(pixels)
    logits, similarity, embedding = graphs.head(text, image)
    np.testing.assert_allclose(logits, related.logits[:, [ORDER.index(i) for i in range(4)]], atol=1e-4)
    np.testing.assert_allclose(similarity, related.similarity, atol=1e-5)
    want = torch.nn.functional.normalize(related.joint, dim=1)
    np.testing.assert_allclose(embedding, want, atol=1e-5)
    assert embedding.shape[1] == manifest["head"]["embedding"]

    # Grad-CAM by autograd at the last map, the adapter between it and the logits.
    seen = model.last_map(torch.from_numpy(pixels)).detach().requires_grad_()
    scores = model.relate(torch.from_numpy(text), model.adapter_v(seen.mean((2, 3)))).logits
    cam = graphs.explain(pixels, text)
    for relation in range(4):
        chosen = scores[:, ORDER.index(relation)].sum()
        (gradient,) = torch.autograd.grad(chosen, seen, retain_graph=True)
        wanted = (gradient.mean((2, 3), keepdim=True) * seen).sum(1).relu().detach()
        np.testing.assert_allclose(cam[:, relation], wanted, atol=1e-6, rtol=1e-3)
    assert cam.max() > 1e-5, "maps of zeros would equal anything"

    small = tmp_path / "small"
    posts = ["--posts", str(data / "posts.jsonl")]
    assert main(["export", str(trained), *cache, "--out", str(small), "--int8", *posts]) == 0
    assert "relation agreement" in capsys.readouterr().out
    graphs = run.load(small)
    together = graphs.image(pixels)
    assert np.abs(together - image).max() > 1e-6, "these are the float32 graphs"
    for i in range(len(pixels)):
        assert np.abs(graphs.image(pixels[i : i + 1])[0] - together[i]).max() <= 1e-6
    assert (small / "image.onnx").stat().st_size < 0.5 * (out / "image.onnx").stat().st_size


def test_what_a_mini_checkpoint_cannot(tmp_path: Path, trained: Path, packages: Path, capsys) -> None:
    start = ["export", str(trained), "--cache", str(packages), "--out", str(tmp_path / "out")]
    assert main([*start, "--half"]) == 1
    assert "--int8 makes it smaller" in capsys.readouterr().err
    assert main([*start, "--pool", "cls,cls"]) == 1
    assert "--pool goes with" in capsys.readouterr().err
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "vocab.txt").write_text("[PAD]\n")
    assert main([*start, "--tokenizer", str(tmp_path / "words")]) == 1
    assert "vocab.txt has 1 pieces" in capsys.readouterr().err
    state = torch.load(trained, weights_only=True)
    del state["proj_t.weight"]
    torch.save(state, trained)
    assert main(start) == 1
    assert "proj_t.weight" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
