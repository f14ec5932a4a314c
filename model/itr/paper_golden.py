"""Golden posts of a published checkpoint's bundle: what its graphs gave, for any other implementation to replay.

Pictures are drawn here and stored without loss: wide, tall, smaller than the tower's input, with an orientation that
the public code ignores, with a palette.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from itr import golden, pictures
from itr.run import Graphs

_ORIENTATION = 0x0112
_TEXTS = (
    "Sunset over the harbour tonight",
    "can't believe it's already Friday!!! 😂😂 ❤️ #TGIF :-)",
    "",
    "@newsdesk BREAKING: 3 injured near Main St. https://t.co/Ab3dE9 &amp; more",
    "東京タワーの夜景 ✨ naïve café — Привет",
    "so " * 300,
    "   \t\n spaces\u00a0and\u200bzero\u200dwidth  🏳️‍🌈 ﬁ İ",
)


def write(folder: Path, graphs: Graphs, tokens: Callable[[str], list[int]], settings: dict[str, Any]) -> None:
    """Draws the pictures below folder/golden, runs each text with one of them, and writes golden.json."""
    (folder / "golden").mkdir()
    names = _draw(folder / "golden")
    posts = []
    for i, text in enumerate(_TEXTS):
        path = f"golden/{names[i % len(names)]}"
        pixels = pictures.load(folder / path, settings)
        ids = tokens(text)
        posts.append(golden.post(text, path, ids, pixels, golden.replay(graphs, ids, pixels)))
    golden.write(folder, posts)


def _draw(folder: Path) -> list[str]:
    y, x = np.mgrid[0:300, 0:480]
    waves = np.stack([(x * 7 + y) % 256, 128 + 127 * np.sin(x / 9), 128 + 127 * np.cos((x + y) / 23)], -1).astype(
        np.uint8
    )
    wide = Image.fromarray(waves)
    turned = Image.Exif()
    turned[_ORIENTATION] = 6
    wide.save(folder / "wide.png")
    wide.rotate(90, expand=True).crop((0, 0, 250, 421)).save(folder / "tall.png")
    Image.fromarray(np.random.default_rng(5).integers(0, 256, (5, 3, 3), np.uint8)).save(folder / "tiny.png")
    wide.crop((40, 0, 280, 160)).save(folder / "turned.png", exif=turned)
    wide.quantize(16).save(folder / "palette.png")
    return ["wide.png", "tall.png", "tiny.png", "turned.png", "palette.png"]
