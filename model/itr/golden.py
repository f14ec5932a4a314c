"""Golden posts: texts and picture files with what a model made of them, for any other implementation to replay.

The posts of `itr mini` are drawn here, and stored without loss, so that every decoder must give the same pixels.
"""

import hashlib
import json
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from itr import pictures, strings, wordpieces
from itr.run import Graphs

FILE = "golden.json"


class Outputs(NamedTuple):
    """What a model makes of one post: float32 arrays."""

    text: np.ndarray  # [ht]
    image: np.ndarray  # [hv]
    logits: np.ndarray  # [4]
    similarity: float
    embedding: np.ndarray  # [D], of length 1
    cam: np.ndarray  # [4,h,w]


def replay(graphs: Graphs, ids: list[int], pixels: np.ndarray) -> Outputs:
    """What a bundle's graphs make of one text and one picture."""
    text, image = graphs.text([ids]), graphs.image(pixels[None])
    logits, similarity, embedding = graphs.head(text, image)
    cam = graphs.explain(pixels[None], text)[0]
    return Outputs(text[0], image[0], logits[0], float(similarity[0]), embedding[0], cam)


def post(text: str, image: str, ids: list[int], pixels: np.ndarray, outputs: Outputs) -> dict[str, Any]:
    """One entry of golden.json; image is the file's path from its folder on. Of long vectors it has the beginning."""
    return {
        "text": text,
        "image": image,
        "input_ids": ids,
        "pixels_sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
        "text_first8": _numbers(outputs.text[:8]),
        "image_first8": _numbers(outputs.image[:8]),
        "logits": _numbers(outputs.logits),
        "similarity": outputs.similarity,
        "embedding_first8": _numbers(outputs.embedding[:8]),
        "cam_first8": _numbers(outputs.cam.ravel()[:8]),
        "cam_sums": _numbers(outputs.cam.sum((1, 2))),
    }


def whole(outputs: Outputs) -> dict[str, list[float]]:
    """What an entry that is a reference has besides: all values."""
    return {
        "text_vector": _numbers(outputs.text),
        "image_vector": _numbers(outputs.image),
        "embedding": _numbers(outputs.embedding),
        "cam": _numbers(outputs.cam.ravel()),
    }


def write(folder: Path, posts: list[dict[str, Any]]) -> None:
    """Writes golden.json, as the Go package reads it."""
    (folder / FILE).write_text(json.dumps(posts, ensure_ascii=True, indent=1) + "\n", encoding="ascii")


def _numbers(values: np.ndarray) -> list[float]:
    """The shortest decimals that are these float32 numbers."""
    return [float(str(value)) for value in values.astype(np.float32)]


def cases(folder: Path, graphs: Graphs, vocab: Path, face: Path, max_tokens: int, side: int) -> list[dict[str, Any]]:
    """Draws the pictures below folder/golden and replays every text with one of them."""
    (folder / "golden").mkdir(exist_ok=True)
    tokens = wordpieces.tokenizer(vocab)
    paths = [_save(folder, *drawn) for drawn in _pictures(face)]
    settings = {"height": side, "width_pixels": side, "resize": "bilinear", "fit": "squash", "exif": "apply"}
    found = []
    for i, text in enumerate(strings.TEXTS):
        path = paths[i % len(paths)]
        pixels = pictures.load(folder / path, settings)
        ids = wordpieces.ids(tokens, text, max_tokens)
        found.append(post(text, path, ids, pixels, replay(graphs, ids, pixels)))
    return found


def _pictures(face: Path) -> list[tuple[str, Image.Image]]:
    font = ImageFont.truetype(face, 34)

    def sheet(size: tuple[int, int], colour: tuple[int, int, int]) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        image = Image.new("RGB", size, colour)
        return image, ImageDraw.Draw(image)

    ball, draw = sheet((320, 240), (70, 150, 60))
    draw.ellipse((110, 70, 220, 180), fill=(210, 40, 30))
    poster, draw = sheet((300, 400), (20, 20, 90))
    for i, line in enumerate(("VOTE", "ON FRIDAY", "town hall", "9 to 17")):
        draw.text((30, 60 + 70 * i), line, font=font, fill=(250, 240, 120))
    chart, draw = sheet((480, 270), (255, 255, 255))
    for i, height in enumerate((40, 90, 60, 170, 120, 210)):
        draw.rectangle((40 + 70 * i, 250 - height, 90 + 70 * i, 250), fill=(40 * i, 90, 200 - 30 * i))
    ramp = Image.fromarray(np.add.outer(np.arange(120), np.arange(200)).astype(np.uint8) % 251)
    tiny = Image.fromarray(np.random.default_rng(5).integers(0, 256, (5, 3, 3), np.uint8))
    stripes = Image.fromarray(np.tile(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8), (90, 70, 1)))
    return [
        ("ball.png", ball),
        ("poster.webp", poster),
        ("chart.gif", chart.quantize(16)),
        ("ramp.png", ramp),
        ("tiny.png", tiny),
        ("stripes.png", stripes),
        ("palette.png", poster.quantize(8)),
    ]


def _save(folder: Path, name: str, image: Image.Image) -> str:
    image.save(folder / "golden" / name, **({"lossless": True} if name.endswith(".webp") else {"optimize": True}))
    return f"golden/{name}"


def tokenizer_lines(vocab: Path, count: int, max_tokens: int, seed: int) -> list[str]:
    """JSON lines {"text", "ids"} over generated strings, for a tokenizer's equality with Hugging Face's."""
    rng, tokens = Random(seed), wordpieces.tokenizer(vocab)
    words = [
        word
        for word in vocab.read_text(encoding="utf-8").splitlines()
        if not word.startswith(("[unused", "[PAD", "[UNK", "[CLS", "[SEP", "[MASK"))
    ]
    texts = [*strings.TEXTS, "[CLS]", "a [SEP] b", "[UNK] [MASK]x", "##ing", "don't", "x" * 101, "-" * 140, "é" * 90]
    while len(texts) < count:
        texts.append(strings.hostile(rng, words))
    lines = [
        json.dumps(
            {"text": text, "ids": wordpieces.ids(tokens, text, max_tokens)}, ensure_ascii=True, separators=(",", ":")
        )
        for text in texts
    ]
    return lines
