"""The posts of written_posts.jsonl, written for itr-mini about photographs of packages: text, picture, and relation as
their writer meant it.

Each line: `image` ("package:path", "package:archive.rcc!path" or "blank"), `text`, `t` (text is represented), `v`
(image adds), `kind`, `split` (train, dev or test, by picture), and where words are drawn on the picture `overlay`
({"style", "words"}, see render).
"""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from itr import rcc, render

# Kinds whose posts report: nearest to what news accounts write.
REPORTING = ("news", "politics", "sport", "public")
_LARGEST = 640  # pixels of a picture that words are drawn on


@dataclass(frozen=True)
class WrittenPost:
    """One line of written_posts.jsonl; see written_posts.md for how labels were given."""

    text: str
    relation: int  # 2·text_is_represented + image_adds
    kind: str
    split: str
    picture: int  # index into the pictures


def read() -> tuple[list[WrittenPost], list[dict]]:
    """All posts, and what their pictures are: lines' `image` and `overlay`, each picture once."""
    lines = resources.files("itr").joinpath("written_posts.jsonl").read_text(encoding="utf-8").splitlines()
    posts, pictures = [], {}
    for line in map(json.loads, lines):
        picture = {"image": line["image"], "overlay": line.get("overlay")}
        at, _ = pictures.setdefault(json.dumps(picture), (len(pictures), picture))
        posts.append(WrittenPost(line["text"], 2 * line["t"] + line["v"], line["kind"], line["split"], at))
    return posts, [picture for _, picture in pictures.values()]


def pixels(pictures: list[dict], sources: dict[str, Path], faces: list[Path], side: int) -> np.ndarray:
    """uint8 [pictures, side, side, 3]; sources holds the unpacked packages."""
    archives: dict[Path, dict[str, bytes]] = {}

    def opened(name: str) -> Image.Image:
        package, _, path = name.partition(":")
        archive, inside, path = path.partition("!")
        if not inside:
            return Image.open(sources[package] / archive)
        if (key := sources[package] / archive) not in archives:
            archives[key] = dict(rcc.files(key))
        return Image.open(io.BytesIO(archives[key][path]))

    return np.stack([_canvas(picture, opened, faces).pixels(side) for picture in pictures])


def _canvas(picture: dict, opened: Callable[[str], Image.Image], faces: list[Path]) -> render.Canvas:
    overlay, rng = picture["overlay"], Random(json.dumps(picture))
    if picture["image"] == "blank":
        canvas = render.blank(rng)
    else:
        image = opened(picture["image"]).convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image)
        image = white.convert("RGB")
        if overlay:
            image.thumbnail((_LARGEST, _LARGEST))
        canvas = render.Canvas(image, Image.new("L", image.size))
    return render.write(canvas, overlay["words"].split(), overlay["style"], faces, rng) if overlay else canvas
