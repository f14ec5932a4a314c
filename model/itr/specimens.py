"""Posts of every kind, the same for the same seed: texts of many sorts, beside encoded pictures of many formats."""

import io
from collections.abc import Iterator
from importlib import resources
from random import Random
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from itr import strings

_ORIENTATION = 0x0112
_AWKWARD = (*strings.TEXTS, "tree house " * 400)
_ENDS = ("", "!", "?", " 😂", " ❤️❤️", " #tbt", " #NoFilter", " https://t.co/Ab3dE9xY", " &lt;3", " :-)", "…", " w/ @me")
_STARTS = ("", "", "", "RT @someone_1: ", "@team ", "BREAKING: ", "So… ", "“", "\n\n", "IT'S ")


class Post(NamedTuple):
    """One text with one encoded picture."""

    text: str
    name: str  # of the picture file; its ending says the format
    encoded: bytes


def posts(count: int, seed: int, largest: int = 900) -> Iterator[Post]:
    """A third of the texts each is known to be awkward, like a tweet, and drawn from all scripts. Pictures have from 12
    pixels a side to the largest, the formats in turn.
    """
    rng, words = Random(seed), _words()
    for i in range(count):
        turn = i % 3
        text = (
            _tweet(rng, words)
            if turn == 1
            else strings.hostile(rng, words)
            if turn == 2
            else _AWKWARD[i // 3 % len(_AWKWARD)]
        )
        name, encoded = _encoded(i, np.random.default_rng((seed, i)), largest)
        yield Post(text, f"{i:03}-{name}", encoded)


def _words() -> list[str]:
    text = resources.files("itr").joinpath("posts.txt").read_text(encoding="utf-8")
    return sorted({word.strip(",.!?:;") for word in text.split() if not {"{", "|", "#"} & set(word)} - {""})


def _tweet(rng: Random, words: list[str]) -> str:
    return rng.choice(_STARTS) + " ".join(rng.choices(words, k=rng.randint(1, 25))) + rng.choice(_ENDS)


def _jpeg(picture: Image.Image, orientation: int = 1, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    return _save(picture, "jpeg", exif=exif, **options)


def _save(picture: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def _veiled(picture: Image.Image) -> Image.Image:
    """With an alpha channel of stripes."""
    alpha = (np.indices((picture.height, picture.width)).sum(0) * 5 % 256).astype(np.uint8)
    return Image.fromarray(np.dstack([np.asarray(picture), alpha]))


def _deep(picture: Image.Image) -> Image.Image:
    """Grey in 16 bits."""
    grey = np.asarray(picture.convert("L")).astype(np.uint16)
    return Image.fromarray(grey * 257 + np.arange(picture.width, dtype=np.uint16) % 200)


_FORMATS = (
    ("420.jpg", lambda p: _jpeg(p, quality=85, subsampling="4:2:0")),
    ("palette.png", lambda p: _save(p.quantize(16), "png")),
    ("turned6.jpg", lambda p: _jpeg(p, 6, quality=80)),
    ("422.jpg", lambda p: _jpeg(p, quality=75, subsampling="4:2:2")),
    ("alpha.png", lambda p: _save(_veiled(p), "png")),
    ("progressive.jpg", lambda p: _jpeg(p, quality=85, progressive=True)),
    ("plain.gif", lambda p: _save(p.quantize(64), "gif")),
    ("444.jpg", lambda p: _jpeg(p, quality=95, subsampling="4:4:4")),
    ("16bit.png", lambda p: _save(_deep(p), "png")),
    ("lossy.webp", lambda p: _save(p, "webp", quality=80)),
    ("grey.jpg", lambda p: _jpeg(p.convert("L"), quality=85)),
    ("rgb.png", lambda p: _save(p, "png")),
    ("low.jpg", lambda p: _jpeg(p, quality=20)),
    ("lossless.webp", lambda p: _save(p, "webp", lossless=True)),
    ("clear.gif", lambda p: _save(p.quantize(32), "gif", transparency=3)),
    ("turned3.jpg", lambda p: _jpeg(p, 3, quality=85, progressive=True)),
    ("grey.png", lambda p: _save(p.convert("L"), "png")),
    ("cmyk.jpg", lambda p: _jpeg(p.convert("CMYK"), quality=85)),
    ("alpha.webp", lambda p: _save(_veiled(p), "webp", quality=70)),
    ("clear.png", lambda p: _save(p.quantize(200), "png", transparency=7)),
    ("moving.gif", lambda p: _save(p.quantize(32), "gif", save_all=True, append_images=[p.rotate(180).quantize(32)])),
    ("greyprogressive.jpg", lambda p: _jpeg(p.convert("L"), 8, progressive=True)),
    ("1bit.png", lambda p: _save(p.convert("1"), "png")),
    ("greyalpha.png", lambda p: _save(_veiled(p).convert("LA"), "png")),
)


def _encoded(number: int, rng: np.random.Generator, largest: int) -> tuple[str, bytes]:
    name, encode = _FORMATS[number % len(_FORMATS)]
    return name, encode(_picture(rng, largest))


def _picture(rng: np.random.Generator, largest: int) -> Image.Image:
    """Waves, edges, and noise in a corner, wide or tall."""
    width, height = (int(np.exp(rng.uniform(np.log(12), np.log(largest)))) for _ in range(2))
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    planes = []
    for _ in range(3):
        across, down, twist = rng.uniform(-0.2, 0.2, 3)
        plane = 128 + 70 * np.sin(x * across + y * down) + 50 * np.cos(x * y * twist / 50)
        plane += np.where((x // rng.integers(5, 60) + y // rng.integers(5, 60)) % 4 == 0, 60, 0)
        plane += rng.normal(0, 40, plane.shape) * ((x > width * 0.6) & (y < height * 0.5))
        planes.append(plane)
    return Image.fromarray(np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8))
