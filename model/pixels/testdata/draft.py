"""Writes draft.jsonl: what Pillow makes of the JPEGs in images/ after Image.draft. See README.md."""

import json
import zlib
from pathlib import Path

from PIL import Image, ImageOps

HERE = Path(__file__).parent

# Width, height, and with a crop the shortest edge: small, so that small files have something to leave out.
TENSORS = [
    (64, 56, None),
    (30, 40, None),
    (13, 7, None),
    (7, 13, None),
    (4, 3, None),
    (1, 1, None),
    (10, 8, 12),
    (3, 2, 3),
]


def draft(path: Path, width: int, height: int, edge: int | None) -> tuple[int, int]:
    picture = Image.open(path)
    before = picture.size
    picture.draft("RGB", (2 * (edge or width), 2 * (edge or height)))
    scale = next(s for s in (1, 2, 4, 8) if picture.size == tuple(-(-side // s) for side in before))
    picture = ImageOps.exif_transpose(picture).convert("RGB")
    if edge is None:
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    else:
        w, h = picture.size
        w, h = (edge, edge * h // w) if w <= h else (edge * w // h, edge)
        left, top = (w - width) // 2, (h - height) // 2
        picture = picture.resize((w, h), Image.Resampling.BICUBIC).crop((left, top, left + width, top + height))
    return scale, zlib.crc32(picture.tobytes())


def main():
    with (HERE / "draft.jsonl").open("w") as out:
        for path in sorted(HERE.glob("images/*.jpg")):
            made = [draft(path, *tensor) for tensor in TENSORS]
            out.write(
                json.dumps({"file": path.name, "scales": [s for s, _ in made], "tensors": [c for _, c in made]}) + "\n"
            )


if __name__ == "__main__":
    main()
