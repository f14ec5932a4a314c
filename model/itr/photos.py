"""Named pictures and backgrounds from Debian packages, for use while building only: none of them is shipped."""

import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from itr import rcc

_GCOMPRIS = {
    "lang": "/words_sample/",
    "categorization": "/images/",
    "explore_monuments": "/resource/",
    "explore_world_animals": "/animals/",
    "explore_farm_animals": "/animals/",
    "explore_world_music": "/music/",
    "erase": "/resource/",
    "solar_system": "/resource/",
}
# Letters, notes and outlines: nothing that a sentence would be about.
_TUXPAINT_SKIPPED = ("/alphabets/", "/symbols/shapes", "/symbols/math", "/symbols/music", "/symbols/chess")
_THUMBNAIL = 448


@dataclass(frozen=True)
class Photo:
    """One named picture. `image` is RGBA; a cut-out has transparent surroundings."""

    name: str  # what it shows, lower case
    caption: str  # the describing sentence where the package has one, else the name
    folder: str  # the package's own category
    image: Image.Image

    @property
    def cutout(self) -> bool:
        return self.image.getchannel("A").getextrema()[0] < 128

    @property
    def split(self) -> str:
        """train, dev or test by a digest of the name, so that equal names never straddle a split."""
        draw = zlib.crc32(self.name.encode()) % 10
        return "train" if draw < 6 else "dev" if draw < 8 else "test"


def named(sources: dict[str, Path]) -> list[Photo]:
    """All named pictures in a fixed order."""
    return [*_tuxpaint(sources["tuxpaint-stamps-default"]), *_gcompris(sources["gcompris-qt-data"])]


def backgrounds(sources: dict[str, Path]) -> list[Image.Image]:
    """Landscapes, textures and wallpapers as RGB pictures in a fixed order, one size of each."""
    found: dict[str, Image.Image] = {}
    for package in (
        "lomiri-wallpapers-16.04",
        "lomiri-wallpapers-20.04",
        "mate-backgrounds",
        "plasma-workspace-wallpapers",
    ):
        for path in sorted((sources[package] / "usr/share").rglob("*")):
            if path.suffix.lower() not in (".jpg", ".jpeg", ".png") or path.is_symlink():
                continue
            # Plasma ships each wallpaper in a dozen sizes below one folder.
            key = str(path.parents[1]) if path.parent.name.startswith("images") else str(path)
            if key not in found and path.stat().st_size > 30_000:
                image = Image.open(path)
                image.draft("RGB", (_THUMBNAIL, _THUMBNAIL))
                image = image.convert("RGB")
                image.thumbnail((2 * _THUMBNAIL, 2 * _THUMBNAIL))
                found[key] = image
    return list(found.values())


def _tuxpaint(folder: Path) -> Iterator[Photo]:
    stamps = folder / "usr/share/tuxpaint/stamps"
    for path in sorted(stamps.rglob("*.png")):
        place = "/" + str(path.parent.relative_to(stamps)) + "/"
        if any(skipped in place for skipped in _TUXPAINT_SKIPPED) or not path.with_suffix(".txt").exists():
            continue
        caption = path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()[0].strip()
        name = _name_of_caption(caption)
        if name:
            yield Photo(name, caption, place.strip("/"), _open(path.read_bytes()))


def _gcompris(folder: Path) -> Iterator[Photo]:
    for archive, part in _GCOMPRIS.items():
        for path, content in rcc.files(folder / f"usr/share/gcompris-qt/rcc/{archive}.rcc"):
            if part in path and path.endswith((".webp", ".png", ".jpg")):
                name = _name_of_file(Path(path).stem)
                if len(name) > 2:
                    yield Photo(name, name, "/".join([archive, *path.split(part)[-1].split("/")[:-1]]), _open(content))


def _open(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content)).convert("RGBA")
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return image


def _name_of_caption(caption: str) -> str:
    first = re.split(r"[.,;(]", caption)[0].strip().lower()
    first = re.sub(r"^(an?|the|some|grandma’s old|this is an?)\s+", "", first)
    return re.sub(r"[^a-z0-9’' -]", "", first)


def _name_of_file(stem: str) -> str:
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", stem).replace("_", " ").replace("-", " ")
    return re.sub(r"\s+", " ", re.sub(r"\d+", "", spaced)).strip().lower()
