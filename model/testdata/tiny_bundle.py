"""Writes tiny-bundle/, a bundle of a few KB with random weights, for the tests of the Go packages.

    pip install numpy==2.4.6 onnx==1.23.2 onnxruntime==1.29.0 pyyaml==6.0.3
    python model/testdata/tiny_bundle.py

Every width differs from every other, so that one taken for another fails. The text tower accepts padding: its rows are
independent, and tests run it as single and as padded. golden.json holds what onnxruntime gives in Python.
"""

import hashlib
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import onnxruntime
import yaml
from onnx import TensorProto, checker, helper, numpy_helper

OUT = Path(__file__).with_name("tiny-bundle")
HEIGHT, WIDTH = 6, 8  # of the image in pixels
TEXT, IMAGE, SPACE = 7, 5, 3  # widths of the towers and of their common space
EMBEDDING = TEXT + IMAGE
CAM_HEIGHT, CAM_WIDTH = 2, 4
RELATIONS = ["neither", "image_adds", "text_represented", "both"]
WORDS = ["a", "the", "dog", "cat", "bridge", "river", "red", "blue", "at", "on", "in", "look", "this", "here"]
WORDS += [".", "!", "?", "run", "##ning", "##s"]
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
MEAN, STD = [120.0, 125.0, 130.0], [64.0, 60.0, 56.0]

rng = np.random.default_rng(17)


def weights(name: str, *shape: int):
    return numpy_helper.from_array(rng.normal(0, 0.6, shape).astype(np.float32), name)


def constant(name: str, value, dtype=np.float32):
    return numpy_helper.from_array(np.asarray(value, dtype), name)


def io(name: str, kind: int, *shape):
    return helper.make_tensor_value_info(name, kind, shape)


def save(name: str, nodes: list, inputs: list, outputs: list, initializers: list) -> None:
    graph = helper.make_graph(
        [helper.make_node(*n[:3], **n[3]) if len(n) > 3 else helper.make_node(*n) for n in nodes],
        name,
        inputs,
        outputs,
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    checker.check_model(model, full_check=True)
    (OUT / f"{name}.onnx").write_bytes(model.SerializeToString())


def text_graph() -> None:
    save(
        "text",
        [
            ("Gather", ["table", "input_ids"], ["tokens"]),
            ("Cast", ["attention_mask"], ["mask"], {"to": TensorProto.FLOAT}),
            ("Unsqueeze", ["mask", "last"], ["column"]),
            ("Mul", ["tokens", "column"], ["kept"]),
            ("ReduceSum", ["kept", "middle"], ["sum"], {"keepdims": 0}),
            ("ReduceSum", ["mask", "middle"], ["count"], {"keepdims": 1}),
            ("Div", ["sum", "count"], ["mean"]),
            ("Tanh", ["mean"], ["text"]),
        ],
        [io("input_ids", TensorProto.INT64, "B", "T"), io("attention_mask", TensorProto.INT64, "B", "T")],
        [io("text", TensorProto.FLOAT, "B", TEXT)],
        [weights("table", len(VOCAB), TEXT), constant("last", [2], np.int64), constant("middle", [1], np.int64)],
    )


PIXEL_NODES = [
    ("Cast", ["pixels"], ["raw"], {"to": TensorProto.FLOAT}),
    ("Sub", ["raw", "channel_mean"], ["centred"]),
    ("Div", ["centred", "channel_std"], ["normal"]),
]
PIXEL_CONSTANTS = [constant("channel_mean", MEAN), constant("channel_std", STD)]
PIXELS = io("pixels", TensorProto.UINT8, "B", HEIGHT, WIDTH, 3)


def image_graph() -> None:
    save(
        "image",
        [
            *PIXEL_NODES,
            ("Flatten", ["normal"], ["flat"], {"axis": 1}),
            ("MatMul", ["flat", "filters"], ["maps"]),
            ("Tanh", ["maps"], ["image"]),
        ],
        [PIXELS],
        [io("image", TensorProto.FLOAT, "B", IMAGE)],
        [*PIXEL_CONSTANTS, weights("filters", HEIGHT * WIDTH * 3, IMAGE)],
    )


def head_graph() -> None:
    def unit(name: str, source: str) -> list:
        return [
            ("Mul", [source, source], [f"{name}_squares"]),
            ("ReduceSum", [f"{name}_squares", "row"], [f"{name}_sum"], {"keepdims": 1}),
            ("Sqrt", [f"{name}_sum"], [f"{name}_norm"]),
            ("Div", [source, f"{name}_norm"], [name]),
        ]

    save(
        "head",
        [
            ("Concat", ["text", "image"], ["joined"], {"axis": 1}),
            ("Gemm", ["joined", "relation", "relation_bias"], ["logits"]),
            ("MatMul", ["text", "text_projection"], ["text_space"]),
            ("MatMul", ["image", "image_projection"], ["image_space"]),
            *unit("p", "text_space"),
            *unit("q", "image_space"),
            ("Mul", ["p", "q"], ["products"]),
            ("ReduceSum", ["products", "row"], ["similarity"], {"keepdims": 0}),
            *unit("embedding", "joined"),
        ],
        [io("text", TensorProto.FLOAT, "B", TEXT), io("image", TensorProto.FLOAT, "B", IMAGE)],
        [
            io("logits", TensorProto.FLOAT, "B", 4),
            io("similarity", TensorProto.FLOAT, "B"),
            io("embedding", TensorProto.FLOAT, "B", EMBEDDING),
        ],
        [
            weights("relation", EMBEDDING, 4),
            weights("relation_bias", 4),
            weights("text_projection", TEXT, SPACE),
            weights("image_projection", IMAGE, SPACE),
            constant("row", [1], np.int64),
        ],
    )


def explain_graph() -> None:
    save(
        "explain",
        [
            *PIXEL_NODES,
            ("ReduceMean", ["normal", "plane"], ["colour"], {"keepdims": 0}),
            ("Concat", ["colour", "text"], ["joined"], {"axis": 1}),
            ("MatMul", ["joined", "cells"], ["cam_flat"]),
            ("Reshape", ["cam_flat", "cam_shape"], ["cam"]),
        ],
        [PIXELS, io("text", TensorProto.FLOAT, "B", TEXT)],
        [io("cam", TensorProto.FLOAT, "B", 4, CAM_HEIGHT, CAM_WIDTH)],
        [
            *PIXEL_CONSTANTS,
            weights("cells", 3 + TEXT, 4 * CAM_HEIGHT * CAM_WIDTH),
            constant("plane", [1, 2], np.int64),
            constant("cam_shape", [-1, 4, CAM_HEIGHT, CAM_WIDTH], np.int64),
        ],
    )


def png(pixels: np.ndarray) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )


def golden() -> None:
    run = {
        name: onnxruntime.InferenceSession(OUT / f"{name}.onnx", providers=["CPUExecutionProvider"])
        for name in ("text", "image", "head", "explain")
    }
    entries = []
    for i, words in enumerate(
        [["look", "a", "dog", "run", "##ning", "!"], [], ["the", "red", "bridge", "at", "the", "river", "."]]
    ):
        pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        image = f"golden/{i}.png"
        (OUT / image).write_bytes(png(pixels))
        ids = np.array([[VOCAB.index(w) for w in ["[CLS]", *words, "[SEP]"]]])
        text = run["text"].run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]
        seen = run["image"].run(None, {"pixels": pixels[None]})[0]
        logits, similarity, embedding = run["head"].run(
            ["logits", "similarity", "embedding"], {"text": text, "image": seen}
        )
        cam = run["explain"].run(None, {"pixels": pixels[None], "text": text})[0]
        entries.append(
            {
                "text": " ".join(words).replace(" ##", ""),
                "image": image,
                "input_ids": ids[0].tolist(),
                "pixels_sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
                "text_first8": text[0, :8].tolist(),
                "image_first8": seen[0, :8].tolist(),
                "logits": logits[0].tolist(),
                "similarity": float(similarity[0]),
                "embedding_first8": embedding[0, :8].tolist(),
                "cam_first8": cam.reshape(-1)[:8].tolist(),
                "cam_sums": cam[0].sum((1, 2)).tolist(),
            }
        )
    (OUT / "golden.json").write_text(json.dumps(entries, indent=1) + "\n")


def manifest() -> None:
    files = {
        str(p.relative_to(OUT)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(OUT.rglob("*"))
        if p.is_file()
    }
    files.pop("bundle.yaml", None)
    (OUT / "bundle.yaml").write_text(
        yaml.safe_dump(
            {
                "format": 1,
                "name": "tiny",
                "version": "0.0.1",
                "variant": "mini",
                "text": {
                    "graph": "text.onnx",
                    "width": TEXT,
                    "batching": "padded",
                    "max_tokens": 16,
                    "tokenizer": {"type": "wordpiece", "vocab": "vocab.txt", "lowercase": True},
                },
                "image": {
                    "graph": "image.onnx",
                    "width": IMAGE,
                    "height": HEIGHT,
                    "width_pixels": WIDTH,
                    "resize": "bilinear",
                    "fit": "squash",
                    "exif": "apply",
                    "mean": MEAN,
                    "std": STD,
                },
                "head": {"graph": "head.onnx", "embedding": EMBEDDING},
                "explain": {"graph": "explain.onnx", "height": CAM_HEIGHT, "width": CAM_WIDTH},
                "labels": RELATIONS,
                "calibration": {
                    "matrix": (np.eye(4) * 1.5).tolist(),
                    "bias": [0.2, 0.0, -0.1, 0.05],
                    "source": "made up",
                },
                "licences": [{"part": "weights", "source": "random numbers", "licence": "Apache-2.0"}],
                "metrics": [],
                "files": files,
            },
            sort_keys=False,
            width=120,
        )
    )


if __name__ == "__main__":
    (OUT / "golden").mkdir(parents=True, exist_ok=True)
    (OUT / "vocab.txt").write_text("\n".join(VOCAB) + "\n")
    text_graph()
    image_graph()
    head_graph()
    explain_graph()
    golden()
    manifest()
