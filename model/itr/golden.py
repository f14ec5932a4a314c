"""Golden cases: what the exported graphs gave for texts and picture files, for any other implementation to replay.

Pictures are drawn here and stored without loss, so that every decoder must give the same pixels.
"""

import hashlib
import json
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from itr import wordpieces
from itr.run import Graphs
from itr.verify import load_pixels

_TEXTS = (
    "A red ball on a green field",
    "look at this!!! 😂😂 so cute ❤️ #dogsoftwitter",
    "",
    "東京タワーの夜景 ✨ きれい",
    "Él comió un plátano en el café — ¿cómo está? naïve façade",
    "@newsdesk BREAKING: 3 injured after crash near Main St. https://t.co/Ab3dE9 #news",
    "This is everything",
    "Never give up on what you believe in",
    "word " * 200,
    "   \t\n  spaces\u00a0and\u200bzero\u200dwidth\ufeff  ",
    "ＦＵＬＬＷＩＤＴＨ ﬁ ligature İstanbul ẞ ǅ",
    "🏳️‍🌈👩‍👩‍👧‍👦🇩🇪",
    "a\u0301e\u0301 combining \x00 control \x07 \ufffd",
    "Here is my new bicycle, what do you think?",
    "Antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis x" + "y" * 120,
    "Привет мир! مرحبا بالعالم नमस्ते שלום ไทย 한국어",
)


def cases(folder: Path, graphs: Graphs, vocab: Path, face: Path, max_tokens: int, side: int) -> list[dict]:
    """Draws the pictures below folder/golden and replays every text with one of them."""
    (folder / "golden").mkdir(exist_ok=True)
    tokens = wordpieces.tokenizer(vocab)
    pictures = [_save(folder, *drawn) for drawn in _pictures(face)]
    found = []
    for i, text in enumerate(_TEXTS):
        path = pictures[i % len(pictures)]
        pixels = load_pixels(folder / path, side)
        ids = wordpieces.ids(tokens, text, max_tokens)
        text_vector, image_vector = graphs.text([ids]), graphs.image(pixels[None])
        logits, similarity, embedding = graphs.head(text_vector, image_vector)
        cam = graphs.explain(pixels[None], text_vector)[0]
        first = lambda values: [float(v) for v in values.ravel()[:8]]  # noqa: E731
        found.append(
            {
                "text": text,
                "image": path,
                "input_ids": ids,
                "pixels_sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
                "text_first8": first(text_vector),
                "image_first8": first(image_vector),
                "logits": first(logits),
                "similarity": float(similarity[0]),
                "embedding_first8": first(embedding),
                "cam_first8": first(cam),
                "cam_sums": [float(one.sum()) for one in cam],
            }
        )
    return found


def write(folder: Path, found: list[dict]) -> None:
    (folder / "golden.json").write_text(json.dumps(found, ensure_ascii=True, indent=1) + "\n")


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
    texts = [*_TEXTS, "[CLS]", "a [SEP] b", "[UNK] [MASK]x", "##ing", "don't", "x" * 101, "-" * 140, "é" * 90]
    while len(texts) < count:
        texts.append(_string(rng, words))
    lines = [
        json.dumps(
            {"text": text, "ids": wordpieces.ids(tokens, text, max_tokens)}, ensure_ascii=True, separators=(",", ":")
        )
        for text in texts
    ]
    return lines


_RANGES = (
    (0x20, 0x7F),
    (0xA0, 0x17F),
    (0x180, 0x24F),
    (0x300, 0x36F),
    (0x370, 0x3FF),
    (0x400, 0x45F),
    (0x5D0, 0x5EA),
    (0x620, 0x64A),
    (0x904, 0x939),
    (0xE01, 0xE3A),
    (0x1E00, 0x1EFF),
    (0x2000, 0x206F),
    (0x20A0, 0x20BF),
    (0x2190, 0x21FF),
    (0x2600, 0x27BF),
    (0x3000, 0x303F),
    (0x3041, 0x30FF),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3),
    (0xFB00, 0xFB06),
    (0xFE00, 0xFE0F),
    (0xFF01, 0xFF5E),
    (0x1F300, 0x1F64F),
    (0x1F900, 0x1F9FF),
    (0x20000, 0x2A6DF),
    (0, 0x1F),
    (0x80, 0x9F),
    (0xE000, 0xE010),
)


def _string(rng: Random, words: list[str]) -> str:
    parts = []
    for _ in range(rng.randint(1, 9)):
        draw = rng.random()
        if draw < 0.45:
            word = rng.choice(words).removeprefix("##")
            parts.append(rng.choice((word, word.upper(), word.title())))
        elif draw < 0.6:
            parts.append(
                rng.choice(
                    (
                        "https://t.co/xY9",
                        "@user_1",
                        "#TagMe",
                        "3.14",
                        "$9.99",
                        "it's",
                        "U.S.A.",
                        "e-mail",
                        "100%",
                        "...",
                        "?!",
                        "w/o",
                    )
                )
            )
        else:
            low, high = rng.choice(_RANGES)
            parts.append("".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 5))))
    return rng.choice((" ", " ", " ", "", "\n", "\u00a0")).join(parts)
