"""`itr export`: the graphs equal the published model computed independently, and their maps equal autograd's."""

import json
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import published
import pytest
import reference
import torch
from onnx import helper, numpy_helper
from PIL import Image

from itr import bundle, checkpoint, pictures, row_scales, run, verify
from itr.__main__ import main
from itr.eigen import EigenMaps
from itr.grad_cam import maps
from itr.paper_export import ExportConfig, export

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
        # Byte-level: every byte has a letter, those that do not print one from 256 on.
        shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
        letters = [chr(byte) for byte in shown] + [chr(256 + i) for i in range(256 - len(shown))]
        pieces = [*letters, *(f"{letter}</w>" for letter in letters), "so</w>"]
        pieces += [f"p{i}" for i in range(49406 - len(pieces))] + ["<|startoftext|>", "<|endoftext|>"]
        (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(pieces)}))
        (folder / "merges.txt").write_text("#version: 0.2\ns o</w>\n")
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
    most = {"bertw": 128, "bert+": 512, "clip-": 77}[exported.variant[:5]]
    assert exported.manifest["text"]["max_tokens"] == most
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
    figures = {metric["name"]: metric["value"] for metric in half.manifest["metrics"]}
    assert figures["float16: relation agreement"] > 0.95 and figures["float16: mean embedding cosine"] > 0.9999
    want_map = autograd_map(half, pixels, 2, torch.float32)
    np.testing.assert_allclose(half.graphs.explain(pixels, text)[:, 2], want_map, atol=1e-3)


@pytest.fixture(scope="module", params=["bertweet-base+vit", "bert+resnet-101"])
def int8(request, tmp_path_factory) -> Exported:
    return Exported(request.param, tmp_path_factory.mktemp("int8"), "--int8")


def test_int8_rows_do_not_depend_on_their_batch(int8):
    ids, mask, pixels = batch(int8, 5, 12, seed=4)
    mask[:] = 1  # the manifest has texts run alone and unpadded
    ids[:, 1:] = np.random.default_rng(1).integers(3, 30000, ids[:, 1:].shape)
    pixels[3] = 0  # a picture without contrast beside noise
    text = int8.graphs.text_session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
    image, cam = int8.graphs.image(pixels), int8.graphs.explain(pixels, text)
    for i in range(5):
        one = slice(i, i + 1)
        assert np.abs(int8.graphs.text([ids[i]])[0] - text[i]).max() <= 1e-6
        assert np.abs(int8.graphs.image(pixels[one])[0] - image[i]).max() <= 1e-6
        assert np.abs(int8.graphs.explain(pixels[one], text[one])[0] - cam[i]).max() <= 1e-6
    assert np.abs(image[3] - image[0]).max() > 1e-2
    assert int8.manifest["text"]["batching"] == "single"


def test_int8_is_small_and_says_what_it_costs(int8):
    for name, tower in (("text.onnx", "encoder_t."), ("image.onnx", "encoder_v.")):
        numbers = sum(value.numel() for key, value in int8.state.items() if key.startswith(tower))
        kept = 400_000 if name == "image.onnx" else 100_000  # graph, norms, and a ViT's patches
        assert (int8.out / name).stat().st_size < 1.1 * numbers + kept
    ids, _, pixels = batch(int8, 2, 12, seed=6)
    _, _, embedding = int8.graphs.head(int8.graphs.text(ids), int8.graphs.image(pixels))
    want = int8.reference(ids, np.ones_like(ids), pixels)["embedding"]
    cosines = (embedding * want).sum(1)
    assert cosines.min() > 0.95 and cosines.max() < 0.9999999
    figures = {metric["name"]: metric["value"] for metric in int8.manifest["metrics"]}
    assert figures["int8: relation agreement"] > 0.8
    assert 0.95 < figures["int8: mean embedding cosine"] < 0.99999
    card = (int8.out / "MODEL_CARD.md").read_text()
    assert "| relation agreement |" in card and "generated posts" in card


def test_the_go_program_accepts_bundles(exported, itrstream):
    accepted(exported.out, itrstream)


def test_the_go_program_accepts_int8(int8, itrstream):
    accepted(int8.out, itrstream)


def accepted(folder: Path, itrstream: list[str]) -> None:
    done = subprocess.run([*itrstream, "model", "verify", str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "equal in 7 of 7 posts" in done.stdout


def test_agreement_is_measured_on_the_posts_that_are_named(tmp_path, capsys):
    rng = np.random.default_rng(3)
    for i in range(9):
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8)).save(tmp_path / f"{i}.png")
    lines = [json.dumps({"text": f"so so {i}", "image": f"{i}.png"}) for i in range(9)]
    (tmp_path / "posts.jsonl").write_text("\n".join(lines))
    one = Exported("clip-vit-base-patch32", tmp_path, "--int8", "--posts", str(tmp_path / "posts.jsonl"))
    assert "over 6 posts (posts.jsonl)" in capsys.readouterr().out  # three are kept for ranges
    assert {metric["data"] for metric in one.manifest["metrics"]} == {
        "random tokens and pixels",
        "6 posts: posts.jsonl",
    }
    (tmp_path / "posts.jsonl").write_text(lines[0])
    arguments = ["export", str(tmp_path / "m.pt"), "--tokenizer", str(tmp_path / "words"), "--int8"]
    posts = ["--posts", str(tmp_path / "posts.jsonl")]
    assert main([*arguments, *posts, "--out", str(tmp_path / "other")]) == 1
    assert "1 posts are too few" in capsys.readouterr().err


def test_each_row_has_its_own_scale(tmp_path):
    """Row scales against plain integer arithmetic: each row quantised by itself."""
    rng = np.random.default_rng(5)
    weight = rng.normal(size=(16, 8)).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    ports = [
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", 3, width])]
        for name, width in (("x", 16), ("y", 8))
    ]
    graph = helper.make_graph(nodes, "product", *ports, [numpy_helper.from_array(weight, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "exact.onnx")
    row_scales.quantise(tmp_path / "exact.onnx", tmp_path / "int8.onnx")

    x = (rng.normal(size=(4, 3, 16)) * np.array([1, 1e-3, 50, 0])[:, None, None]).astype(np.float32)
    got = run.session(tmp_path / "int8.onnx").run(None, {"x": x})[0]
    columns = np.abs(weight).max(0) / 63
    rows = np.maximum(np.abs(x).max(-1, keepdims=True), 1e-12) / 127
    want = np.rint(x / rows) @ np.rint(weight / columns) * rows * columns
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-30)
    assert (got[3] == 0).all()


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
    arguments = ["export", str(tmp_path / "m.pt"), "--out", str(tmp_path / "out")]
    torch.save(state, tmp_path / "m.pt")
    assert main(arguments) == 1 and "name the folder of its files with --tokenizer" in capsys.readouterr().err
    assert main([*arguments, "--tokenizer", "x", "--posts", "x"]) == 1
    assert "--posts goes with" in capsys.readouterr().err
    (tmp_path / "words" / "vocab.txt").write_text("one\ntwo\n")
    assert "makes 2 ids, the text tower has 30522" in refused(tmp_path, capsys, state, variant)
    (tmp_path / "words" / "vocab.txt").unlink()
    assert "has no vocab.txt" in refused(tmp_path, capsys, state, variant)


def test_bertweet_reads_at_most_128_tokens(tmp_path):
    state = published.small("bertweet-base+vit")
    key = "encoder_t.embeddings.position_embeddings.weight"
    torch.save(state | {key: torch.zeros(514, 128)}, tmp_path / "m.pt")
    words = tokenizer_files("bertweet", tmp_path / "words")
    with pytest.raises(ValueError, match="514 positions, BERTweet has 130 and reads at most 128 tokens"):
        export(ExportConfig(tmp_path / "m.pt", words, tmp_path / "out", "x"))


def test_a_folder_that_is_no_bundle_is_never_replaced(tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("dear")
    torch.save(published.small("bert-base-uncased+vit"), tmp_path / "m.pt")
    words = tokenizer_files("bert", tmp_path / "words")
    arguments = ["export", str(tmp_path / "m.pt"), "--tokenizer", str(words), "--out", str(tmp_path / "out")]
    assert main(arguments) == 1 and main([*arguments, "--force"]) == 1
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "out" / "letter.txt").read_text() == "dear"
