"""Writes a bundle of two towers in full size with random weights: the numbers mean nothing, and cost what real ones do.

full_size.py ITR_MINI OUT: BERT-base and ViT-B/16, 196 M parameters in floats, over the vocabulary of itr-mini.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
import yaml
from onnx import TensorProto, helper, numpy_helper

WIDTH, HEADS, LAYERS, INNER = 768, 12, 12, 3072
SIDE, PATCH, TOKENS = 224, 16, 128
CAM = 14
FLOAT, INT, BYTE = TensorProto.FLOAT, TensorProto.INT64, TensorProto.UINT8


class Graph:
    """Collects the nodes and weights of one graph."""

    def __init__(self, seed: int):
        self.random = np.random.default_rng(seed)
        self.nodes, self.weights, self.count = [], [], 0

    def add(self, op: str, *inputs: str, out: str | None = None, **attributes) -> str:
        out = out or self.name()
        self.nodes.append(helper.make_node(op, inputs, [out], **attributes))
        return out

    def name(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def constant(self, value) -> str:
        name = self.name()
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def weight(self, *shape: int) -> str:
        return self.constant(self.random.standard_normal(shape, np.float32) * np.float32(0.02))

    def linear(self, x: str, wide: int, out: int) -> str:
        return self.add("Add", self.add("MatMul", x, self.weight(wide, out)), self.weight(out))

    def norm(self, x: str) -> str:
        one, zero = self.constant(np.ones(WIDTH, np.float32)), self.constant(np.zeros(WIDTH, np.float32))
        return self.add("LayerNormalization", x, one, zero, axis=-1)

    def attend(self, x: str, bias: str | None) -> str:
        shape = self.constant(np.array([0, -1, HEADS, WIDTH // HEADS]))
        heads = [self.add("Reshape", self.linear(x, WIDTH, WIDTH), shape) for _ in range(3)]
        q, v = (self.add("Transpose", h, perm=[0, 2, 1, 3]) for h in (heads[0], heads[2]))
        scale = self.constant(np.float32((WIDTH // HEADS) ** -0.5))
        scores = self.add("Mul", self.add("MatMul", q, self.add("Transpose", heads[1], perm=[0, 2, 3, 1])), scale)
        if bias:
            scores = self.add("Add", scores, bias)
        mixed = self.add("MatMul", self.add("Softmax", scores, axis=-1), v)
        joined = self.add(
            "Reshape", self.add("Transpose", mixed, perm=[0, 2, 1, 3]), self.constant(np.array([0, -1, WIDTH]))
        )
        return self.linear(joined, WIDTH, WIDTH)

    def layers(self, x: str, bias: str | None = None) -> str:
        for _ in range(LAYERS):
            x = self.norm(self.add("Add", x, self.attend(x, bias)))
            x = self.norm(self.add("Add", x, self.linear(self.add("Gelu", self.linear(x, WIDTH, INNER)), INNER, WIDTH)))
        return x

    def first(self, x: str, out: str) -> None:
        self.add("Gather", x, self.constant(np.array(0)), out=out, axis=1)

    def unit(self, x: str) -> str:
        return self.add("LpNormalization", x, axis=-1, p=2)

    def save(self, path: Path, inputs: list, outputs: list) -> None:
        made = [
            [helper.make_tensor_value_info(name, kind, shape) for name, kind, *shape in io] for io in (inputs, outputs)
        ]
        graph = helper.make_graph(self.nodes, path.stem, *made, self.weights)
        path.write_bytes(
            helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9).SerializeToString()
        )


PIXELS = ("pixels", BYTE, "B", SIDE, SIDE, 3)


def text(path: Path, vocabulary: int) -> None:
    g = Graph(1)
    width = g.add("Shape", "input_ids", start=1, end=2)
    places = g.add("Slice", g.weight(TOKENS, WIDTH), g.constant(np.array([0])), width)
    x = g.norm(g.add("Add", g.add("Gather", g.weight(vocabulary, WIDTH), "input_ids"), places))
    away = g.add("Sub", g.constant(np.float32(1)), g.add("Cast", "attention_mask", to=FLOAT))
    bias = g.add("Unsqueeze", g.add("Mul", away, g.constant(np.float32(-1e4))), g.constant(np.array([1, 2])))
    g.first(g.layers(x, bias), "text")
    g.save(path, [("input_ids", INT, "B", "T"), ("attention_mask", INT, "B", "T")], [("text", FLOAT, "B", WIDTH)])


def image(path: Path) -> None:
    g = Graph(2)
    level = g.add("Mul", g.add("Cast", "pixels", to=FLOAT), g.constant(np.float32(1 / 127.5)))
    planes = g.add("Transpose", g.add("Sub", level, g.constant(np.float32(1))), perm=[0, 3, 1, 2])
    patches = g.add("Conv", planes, g.weight(WIDTH, 3, PATCH, PATCH), g.weight(WIDTH), strides=[PATCH, PATCH])
    rows = g.add("Transpose", g.add("Reshape", patches, g.constant(np.array([0, WIDTH, -1]))), perm=[0, 2, 1])
    batch = g.add("Concat", g.add("Shape", rows, end=1), g.constant(np.array([1, WIDTH])), axis=0)
    x = g.add("Concat", g.add("Expand", g.weight(1, 1, WIDTH), batch), rows, axis=1)
    x = g.norm(g.add("Add", x, g.weight((SIDE // PATCH) ** 2 + 1, WIDTH)))
    g.first(g.layers(x), "image")
    g.save(path, [PIXELS], [("image", FLOAT, "B", WIDTH)])


def head(path: Path) -> None:
    g = Graph(3)
    joined = g.add("Concat", "text", "image", axis=1)
    g.add("Gemm", joined, g.weight(2 * WIDTH, 4), g.weight(4), out="logits")
    both = g.add("Mul", g.unit("text"), g.unit("image"))
    g.add("ReduceSum", both, g.constant(np.array([1])), out="similarity", keepdims=0)
    g.add("LpNormalization", joined, out="embedding", axis=-1, p=2)
    g.save(
        path,
        [("text", FLOAT, "B", WIDTH), ("image", FLOAT, "B", WIDTH)],
        [("logits", FLOAT, "B", 4), ("similarity", FLOAT, "B"), ("embedding", FLOAT, "B", 2 * WIDTH)],
    )


def explain(path: Path) -> None:
    g = Graph(4)
    colour = g.add("ReduceMean", g.add("Cast", "pixels", to=FLOAT), g.constant(np.array([1, 2])), keepdims=0)
    joined = g.add("Concat", colour, "text", axis=1)
    flat = g.add("MatMul", joined, g.weight(3 + WIDTH, 4 * CAM * CAM))
    g.add("Reshape", flat, g.constant(np.array([-1, 4, CAM, CAM])), out="cam")
    g.save(path, [PIXELS, ("text", FLOAT, "B", WIDTH)], [("cam", FLOAT, "B", 4, CAM, CAM)])


def main(mini: Path, out: Path) -> None:
    out.mkdir(parents=True)
    manifest = yaml.safe_load((mini / "bundle.yaml").read_text())
    vocabulary = (mini / "vocab.txt").read_bytes()
    (out / "vocab.txt").write_bytes(vocabulary)
    text(out / "text.onnx", vocabulary.count(b"\n") + 1)
    image(out / "image.onnx")
    head(out / "head.onnx")
    explain(out / "explain.onnx")
    (out / "golden.json").write_text("[]\n")
    manifest |= {"name": "full-size", "variant": "bert-vit", "metrics": []}
    manifest["text"] |= {"width": WIDTH, "batching": "padded", "max_tokens": TOKENS}
    manifest["image"] |= {"width": WIDTH, "height": SIDE, "width_pixels": SIDE, "mean": [127.5] * 3, "std": [127.5] * 3}
    manifest["head"]["embedding"] = 2 * WIDTH
    manifest["explain"] |= {"height": CAM, "width": CAM}
    manifest["calibration"] = {
        "matrix": np.eye(4).tolist(),
        "bias": [0.0] * 4,
        "source": "none: the weights are random",
    }
    manifest["licences"] = [{"part": "random weights", "source": Path(__file__).name, "licence": "none needed"}]
    manifest["files"] = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(out.iterdir())}
    (out / "bundle.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
