"""Picture files → the uint8 pixels of an image tower, as a bundle's manifest says. Needs no torch."""

from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def load(file: Path | IO[bytes], settings: dict[str, Any]) -> np.ndarray:
    """uint8 [height, width_pixels, 3] of a picture file, by the manifest's image settings."""
    with Image.open(file) as opened:
        image = ImageOps.exif_transpose(opened) if settings["exif"] == "apply" else opened
        return fit(image.convert("RGB"), settings)


def fit(image: Image.Image, settings: dict[str, Any]) -> np.ndarray:
    """uint8 [height, width_pixels, 3] of an RGB picture: squashed, or scaled and the centre cut out."""
    size, resample = (settings["width_pixels"], settings["height"]), _FILTERS[settings["resize"]]
    if settings["fit"] == "squash":
        return np.ascontiguousarray(image.resize(size, resample))
    edge, shorter = settings["shortest_edge"], min(image.size)
    # The longer edge is rounded down, as Hugging Face's processors do.
    scaled = image.resize(tuple(int(edge * length / shorter) for length in image.size), resample)
    left, top = ((have - want) // 2 for have, want in zip(scaled.size, size, strict=True))
    return np.ascontiguousarray(scaled.crop((left, top, left + size[0], top + size[1])))
