"""`itr export`: the graphs equal the published model computed independently, and their maps equal autograd's."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import published
import pytest
import reference
import torch

from itr import bundle, checkpoint, pictures, run, verify
from itr.__main__ import main
from itr.eigen import EigenMaps
from itr.grad_cam import maps

# The CLIP checkpoint's classes get other relations, so that a permutation is tried too.
EXPORTED = {"bertweet-base+vit": (0, 1, 2, 3), "bert+resnet-101": (0, 1, 2, 3), "clip-vit-base-patch32": (2, 0, 3, 1)}
MEAN = {"vit": 0.5, "resnet": (0.485, 0.456, 0.406), "clip": (0.48145466, 0.4578275, 0.40821073)}
STD = {"vit": 0.5, "resnet": (0.229, 0.224, 0.225), "clip": (0.26862954, 0.26130258, 0.27577711)}


def image_kind(variant: str) -> str:
    return next(kind for kind in MEAN if kind in variant.replace("clip-vit", "clip"))


def tokenizer_files(variant: str, folder: Path) -> Path:
    """Files of the right names and sizes."""
    folder.mkdir()
    if variant.startswith("bertweet"):
        (folder / "vocab.txt").write_text("".join(f"p{i} 1\n" for i in range(63996)))
        (folder / "bpe.codes").write_text("p i 1\n")
    elif variant.startswith("clip"):
        pieces = [f"p{i}" for i in range(49406)] + ["<|startoftext|>", "<|endoftext|>"]
        (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(pieces)}))
        (folder / "merges.txt").write_text("#version: 0.2\n")
    else:
        pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "so", *(f"p{i}" for i in range(30516))]
        (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
    return folder


class Exported:
    def __init__(self, variant: str, folder: Path, *options: str) -> None:
        self.variant, self.state = variant, published.small(variant)
        torch.save(self.state, folder / "m.pt")
        self.order = EXPORTED[variant]
        self.out = folder / "bundle"
        arguments = ["export", str(folder / "m.pt"), "--tokenizer", str(tokenizer_files(variant, folder / "words"))]
        arguments += ["--out", str(self.out), "--relations", ",".join(map(str, self.order)), *options]
        assert main(arguments) == 0
        self.manifest, self.graphs = bundle.read(self.out), run.load(self.out)

    def picture(self, pixels: np.ndarray) -> torch.Tensor:
        kind = image_kind(self.variant)
        mean, std = (torch.tensor(part[kind]).view(-1, 1, 1) for part in (MEAN, STD))
        return (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - mean) / std

    def reference(self, ids: np.ndarray, mask: np.ndarray, pixels: np.ndarray) -> dict[str, np.ndarray]:
        text = {"bertw": reference.roberta, "bert+": reference.bert, "clip-": reference.clip_text}[self.variant[:5]]
        image = {"vit": reference.vit, "resnet": reference.resnet, "clip": reference.clip_image}[
            image_kind(self.variant)
        ]
        t, v = text(self.state, torch.from_numpy(ids), torch.from_numpy(mask)), image(self.state, self.picture(pixels))
        logits, similarity = reference.relate(self.state, t, v)
        joint = torch.cat([t, v], 1)
        logits = logits[:, [self.order.index(relation) for relation in range(4)]]
        joint = joint / joint.norm(dim=1, keepdim=True)
        named = {"text": t, "image": v, "logits": logits, "similarity": similarity, "embedding": joint}
        return {name: value.numpy() for name, value in named.items()}


@pytest.fixture(scope="module", params=EXPORTED)
def exported(request, tmp_path_factory) -> Exported:
    return Exported(request.param, tmp_path_factory.mktemp("export"))


def batch(exported: Exported, rows: int, tokens: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ids and mask [rows, tokens], the first row full, the others padded with zeros; pixels."""
    rng = np.random.default_rng(seed)
    vocabulary = checkpoint.load(exported.out.parent / "m.pt").variant.text.vocabulary
    ids, mask = rng.integers(3, vocabulary - 1, (rows, tokens)), np.ones((rows, tokens), np.int64)
    for row in range(rows):
        length = max(2, tokens - 3 * row)
        ids[row, length - 1] = vocabulary - 1
        ids[row, length:] = mask[row, length:] = 0
    return ids, mask, rng.integers(0, 256, (rows, 224, 224, 3), np.uint8)


@pytest.mark.parametrize(("rows", "tokens"), [(1, 2), (3, 12), (2, 77)])
def test_graphs_equal_an_independent_computation(exported, rows, tokens):
    ids, mask, pixels = batch(exported, rows, tokens, seed=rows)
    text = exported.graphs.text_session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
    image = exported.graphs.image(pixels)
    logits, similarity, embedding = exported.graphs.head(text, image)
    want = exported.reference(ids, mask, pixels)
    got = {"text": text, "image": image, "logits": logits, "similarity": similarity, "embedding": embedding}
    for name, value in got.items():
        assert value.dtype == np.float32
        np.testing.assert_allclose(value, want[name], atol=1e-4, err_msg=name)
    assert similarity.shape == (rows,) and logits.shape == (rows, 4)


def autograd_factors(
    exported: Exported, pixels: np.ndarray, relation: int, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the public code's Grad-CAM multiplies: weights [B,D,1,1] by hook, backward, mean; activations [B,D,h,w]."""
    model = checkpoint.load(exported.out.parent / "m.pt").build().to(dtype)
    kind, encoder = image_kind(exported.variant), model.encoder_v
    layer = {
        "vit": lambda: encoder.layers[-1].layernorm_before,
        "clip": lambda: encoder.encoder.layers[-1].layer_norm1,
        "resnet": lambda: encoder.encoder,
    }[kind]()
    seen = []
    layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    text = torch.zeros(len(pixels), model.variant.text.width, dtype=dtype)
    logits = model.relate(text, model.image(exported.picture(pixels).to(dtype))).logits
    activation = seen[0] if torch.is_tensor(seen[0]) else seen[0].last_hidden_state
    (gradient,) = torch.autograd.grad(logits[:, exported.order.index(relation)].sum(), activation)
    if kind != "resnet":
        side = round((activation.shape[1] - 1) ** 0.5)
        activation, gradient = (x[:, 1:].transpose(1, 2).unflatten(2, (side, side)) for x in (activation, gradient))
    return gradient.mean((2, 3), keepdim=True), activation.detach()


def autograd_map(exported: Exported, pixels: np.ndarray, relation: int, dtype: torch.dtype) -> torch.Tensor:
    """Grad-CAM as the public code has it before smoothing and scaling."""
    weights, activation = autograd_factors(exported, pixels, relation, dtype)
    return (weights * activation).sum(1).relu()


def test_maps_equal_autograd(exported):
    _, _, pixels = batch(exported, 2, 4, seed=9)
    text = np.zeros((2, exported.manifest["text"]["width"]), np.float32)
    got = exported.graphs.explain(pixels, text)
    side = exported.manifest["explain"]["height"]
    assert got.shape == (2, 4, side, side) and side == (14 if image_kind(exported.variant) == "vit" else 7)
    for relation in range(4):
        want = autograd_map(exported, pixels, relation, torch.float32)
        np.testing.assert_allclose(got[:, relation], want, atol=1e-6, rtol=1e-4)
        assert want.max() > 1e-3, "a map of zeros would equal anything"


def test_the_closed_form_is_exact(exported):
    _, _, pixels = batch(exported, 1, 4, seed=3)
    model = checkpoint.load(exported.out.parent / "m.pt").build().double()
    with torch.no_grad():
        got = maps(model)(exported.picture(pixels).double())
    for relation in range(4):
        want = autograd_map(exported, pixels, relation, torch.float64)
        torch.testing.assert_close(got[:, exported.order.index(relation)], want, atol=1e-14, rtol=1e-8)


def test_smoothed_maps_are_principal_components(exported):
    _, _, pixels = batch(exported, 1, 4, seed=5)
    text = np.zeros(exported.manifest["text"]["width"], np.float32)
    got = EigenMaps(exported.out, exported.manifest)(pixels[0], text)
    for relation in range(4):
        weights, activation = autograd_factors(exported, pixels, relation, torch.float64)
        weighted = (weights * activation)[0].flatten(1).numpy()
        centred = weighted - weighted.mean(1, keepdims=True)
        spread, directions = np.linalg.eigh(centred @ centred.T)
        along = directions[:, spread.argmax()] @ centred
        want = np.maximum(along * np.sign(along @ weighted.sum(0)), 0)
        np.testing.assert_allclose(got[relation].ravel(), want / want.max(), atol=1e-3)


def test_cam_explains_by_an_exported_bundle(exported, tmp_path):
    image, out = exported.out / "golden" / "wide.png", tmp_path / "cam.json"
    command = ["cam", str(exported.out), str(image), "so so", "--all", "--json", str(out)]
    assert main([*command, "--out", str(tmp_path / "plain.png")]) == 0
    plain = json.loads(out.read_text())
    assert main([*command, "--eigen-smooth", "--force", "--out", str(tmp_path / "smooth.png")]) == 0
    smooth = json.loads(out.read_text())
    assert plain["words"] == smooth["words"] and plain["cam"] != smooth["cam"]
    want = exported.graphs.explain(
        pictures.load(image, exported.manifest["image"])[None],
        np.zeros((1, exported.manifest["text"]["width"]), np.float32),
    )[0]
    got = np.array([plain["cam"][name] for name in exported.manifest["labels"]])
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


def test_a_row_does_not_depend_on_its_batch(exported):
    ids, mask, pixels = batch(exported, 3, 12, seed=4)
    text = exported.graphs.text_session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
    image = exported.graphs.image(pixels)
    cam = exported.graphs.explain(pixels, text)
    for i in range(3):
        length = mask[i].sum()
        np.testing.assert_allclose(exported.graphs.text([ids[i, :length]])[0], text[i], atol=1e-5)
        np.testing.assert_allclose(exported.graphs.image(pixels[i : i + 1])[0], image[i], atol=1e-5)
        np.testing.assert_allclose(exported.graphs.explain(pixels[i : i + 1], text[:1])[0], cam[i], atol=1e-5)


def test_the_manifest_says_what_the_graphs_are(exported):
    sessions = {
        name: onnxruntime.InferenceSession(exported.out / exported.manifest[name]["graph"])
        for name in ("text", "image", "head", "explain")
    }
    ports = {
        name: ([port.name for port in session.get_inputs()], [port.name for port in session.get_outputs()])
        for name, session in sessions.items()
    }
    assert ports == {
        "text": (["input_ids", "attention_mask"], ["text"]),
        "image": (["pixels"], ["image"]),
        "head": (["text", "image"], ["logits", "similarity", "embedding"]),
        "explain": (["pixels", "text"], ["cam"]),
    }
    assert sessions["image"].get_inputs()[0].type == "tensor(uint8)"
    kind, image = image_kind(exported.variant), exported.manifest["image"]
    np.testing.assert_allclose(image["mean"], 255 * np.broadcast_to(MEAN[kind], 3), atol=1e-4)
    assert image["exif"] == "ignore"
    assert (image["resize"], image["fit"], image.get("shortest_edge")) == {
        "vit": ("bilinear", "squash", None),
        "resnet": ("bicubic", "crop_centre", 256),
        "clip": ("bicubic", "crop_centre", 224),
    }[kind]
    assert "head1 of its clustering" in (exported.out / "MODEL_CARD.md").read_text()
    for metric in exported.manifest["metrics"]:
        assert metric["value"] <= 1e-4


def test_golden_posts_replay_and_hold_to_the_pictures(exported):
    for name, difference in verify.differences(exported.out).items():
        assert difference < 1e-5, name
    posts = json.loads((exported.out / "golden.json").read_text())
    longest = max(len(post["input_ids"]) for post in posts)
    limit = exported.manifest["text"]["max_tokens"]
    assert longest == limit or limit == 512, "one text must be cut"
    settings = exported.manifest["image"]
    turned = exported.out / "golden" / "turned.png"
    other = pictures.load(turned, settings | {"exif": "apply"})
    assert (pictures.load(turned, settings) != other).any(), "an orientation that changes nothing tests nothing"


def test_half_precision_costs_little_and_halves_the_towers(tmp_path):
    half = Exported("clip-vit-base-patch32", tmp_path, "--half")
    for name, tower in (("text.onnx", "encoder_t."), ("image.onnx", "encoder_v.")):
        numbers = sum(value.numel() for key, value in half.state.items() if key.startswith(tower))
        assert (half.out / name).stat().st_size < 0.6 * 4 * numbers
    ids, mask, pixels = batch(half, 2, 12, seed=6)
    text = half.graphs.text_session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
    image = half.graphs.image(pixels)
    logits, _, embedding = half.graphs.head(text, image)
    want = half.reference(ids, mask, pixels)
    assert text.dtype == image.dtype == np.float32
    np.testing.assert_allclose(logits, want["logits"], atol=2e-2)
    np.testing.assert_allclose(embedding, want["embedding"], atol=2e-3)
    assert np.abs(logits - want["logits"]).max() > 1e-6, "these are the float32 graphs"
    want_map = autograd_map(half, pixels, 2, torch.float32)
    np.testing.assert_allclose(half.graphs.explain(pixels, text)[:, 2], want_map, atol=1e-3)


def refused(tmp_path: Path, capsys, state: dict, variant: str, *more: str) -> str:
    torch.save(state, tmp_path / "m.pt")
    words = tmp_path / "words"
    if not words.exists():
        tokenizer_files(variant, words)
    arguments = ["export", str(tmp_path / "m.pt"), "--tokenizer", str(words), "--out", str(tmp_path / "out"), *more]
    assert main(arguments) == 1
    assert not (tmp_path / "out").exists()
    return capsys.readouterr().err


def test_what_cannot_be_a_bundle_is_refused(tmp_path, capsys):
    variant = "bert-base-uncased+vit"
    state = published.small(variant)
    assert "one tower" in refused(tmp_path, capsys, published.small("lxmert-base-uncased"), variant)
    assert "each of 0, 1, 2, 3 once" in refused(tmp_path, capsys, state, variant, "--relations", "0,0,1,2")
    two = state | {
        f"{name}.{part}": state[f"{name}.{part}"][:2]
        for name in ("head1", "head2", "head3", "classifier")
        for part in ("weight", "bias")
    }
    assert "has 2 classes" in refused(tmp_path, capsys, two, variant)
    (tmp_path / "words" / "vocab.txt").write_text("one\ntwo\n")
    assert "makes 2 ids, the text tower has 30522" in refused(tmp_path, capsys, state, variant)
    (tmp_path / "words" / "vocab.txt").unlink()
    assert "has no vocab.txt" in refused(tmp_path, capsys, state, variant)


def test_a_folder_that_is_no_bundle_is_never_replaced(tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("dear")
    torch.save(published.small("bert-base-uncased+vit"), tmp_path / "m.pt")
    words = tokenizer_files("bert", tmp_path / "words")
    arguments = ["export", str(tmp_path / "m.pt"), "--tokenizer", str(words), "--out", str(tmp_path / "out")]
    assert main(arguments) == 1 and main([*arguments, "--force"]) == 1
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "out" / "letter.txt").read_text() == "dear"
