"""Draws words on pictures as people do: captions, memes, posters, screenshots, signs, watermarks; and says where the
words are.
"""

from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

CELLS = 14  # the text-area map is CELLS × CELLS
SIZES = ((480, 360), (480, 320), (360, 480), (420, 420), (512, 288), (320, 512))
STYLES = ("caption", "meme", "poster", "screenshot", "sign", "watermark", "chart")
_FONT_SUFFIXES = (".ttf", ".otf")


@dataclass(frozen=True)
class Canvas:
    """A picture with the mask of its words, both RGB/L of the same size."""

    image: Image.Image
    mask: Image.Image

    def pixels(self, side: int) -> np.ndarray:
        """uint8 [side, side, 3], squashed as the product does."""
        return np.asarray(self.image.resize((side, side), Image.Resampling.BILINEAR))

    def cells(self) -> np.ndarray:
        """float32 [CELLS, CELLS]: share of each cell that words cover."""
        return np.asarray(self.mask.resize((CELLS, CELLS), Image.Resampling.BOX), np.float32) / 255.0


def fonts(sources: dict[str, Path]) -> list[Path]:
    """All font files of the font ingredients, in a fixed order."""
    return sorted(
        path
        for name, folder in sources.items()
        if name.startswith("fonts-")
        for path in folder.rglob("*")
        if path.suffix in _FONT_SUFFIXES and not path.is_symlink()
    )


def scene(image: Image.Image, backdrop: Image.Image, rng: Random) -> Canvas:
    """The picture at a common aspect ratio: a photograph cropped, a cut-out pasted on the backdrop."""
    size = rng.choice(SIZES)
    if image.getchannel("A").getextrema()[0] >= 128:
        base = _cover(image.convert("RGB"), size, rng)
    else:
        base = _cover(backdrop, size, rng)
        subject = image.copy()
        # Upscaled too: stamps are small, and their subject should fill the frame as a photograph's does.
        scale = rng.uniform(0.6, 0.95) * min(size[0] / subject.width, size[1] / subject.height)
        subject = subject.resize(
            (max(8, int(subject.width * scale)), max(8, int(subject.height * scale))), Image.Resampling.BICUBIC
        )
        place = (
            rng.randint(0, size[0] - subject.width),
            rng.randint((size[1] - subject.height) // 2, size[1] - subject.height),
        )
        base.paste(subject, place, subject)
    if rng.random() < 0.5:
        base = base.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return Canvas(base, Image.new("L", base.size))


def blank(rng: Random) -> Canvas:
    """A plain or two-tone sheet, for posters and screenshots."""
    size = rng.choice(SIZES)
    colour = (
        tuple(rng.choice((255, 245, rng.randint(0, 255))) for _ in range(3))
        if rng.random() < 0.7
        else (rng.randint(0, 40),) * 3
    )
    return Canvas(Image.new("RGB", size, colour), Image.new("L", size))


def write(canvas: Canvas, words: list[str], style: str, faces: list[Path], rng: Random) -> Canvas:
    """The canvas with `words` drawn in one of STYLES. Long lists are cut to what fits."""
    width, height = canvas.image.size
    share = {
        "caption": 0.07,
        "meme": 0.12,
        "poster": 0.11,
        "screenshot": 0.045,
        "sign": 0.1,
        "watermark": 0.04,
        "chart": 0.04,
    }[style]
    font = ImageFont.truetype(rng.choice(faces), max(9, int(height * share * rng.uniform(0.8, 1.25))))
    image, mask = canvas.image.copy(), canvas.mask.copy()
    if style == "chart":
        _bars(ImageDraw.Draw(image), width, height, rng)
    lines = _wrap(words, font, int(width * 0.92))
    step = int(font.size * 1.25)
    room = {"caption": 2, "meme": 2, "watermark": 1, "sign": 2, "chart": 4}.get(
        style, max(1, int(height * 0.9) // step)
    )
    lines = lines[:room]
    top = {"caption": height - len(lines) * step - 6, "watermark": height - step - 4, "meme": 6, "chart": 4}.get(
        style, rng.randint(4, max(4, height - len(lines) * step - 4))
    )
    if style == "sign":
        return _sign(image, mask, lines, font, rng)
    ink, edge = _ink(image, top, len(lines) * step, rng)
    if style == "caption" and rng.random() < 0.5:
        ImageDraw.Draw(image).rectangle((0, top - 4, width, height), fill=edge)
    draw, marks = ImageDraw.Draw(image), ImageDraw.Draw(mask)
    for i, line in enumerate(lines):
        y = top + i * step if not (style == "meme" and i == 1) else height - step - 8
        if style == "meme":
            line = line.upper()
        length = draw.textlength(line, font=font)
        x = {"screenshot": width * 0.04, "watermark": max(2.0, width - length - 6)}.get(style, (width - length) / 2)
        outline = {"stroke_width": max(1, font.size // 14), "stroke_fill": edge} if style == "meme" else {}
        draw.text((x, y), line, font=font, fill=ink, **outline)
        marks.rectangle((x, y + font.size * 0.1, x + length, y + font.size * 1.1), fill=255)
    return Canvas(image, mask)


def _cover(image: Image.Image, size: tuple[int, int], rng: Random) -> Image.Image:
    scale = max(size[0] / image.width, size[1] / image.height) * rng.uniform(1.0, 1.15)
    image = image.resize(
        (max(size[0], int(image.width * scale)), max(size[1], int(image.height * scale))), Image.Resampling.BICUBIC
    )
    left, top = rng.randint(0, image.width - size[0]), rng.randint(0, image.height - size[1])
    return image.crop((left, top, left + size[0], top + size[1]))


def _wrap(words: list[str], font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    lines, line = [], ""
    for word in words:
        longer = f"{line} {word}".strip()
        if line and font.getlength(longer) > width:
            lines.append(line)
            longer = word
        line = longer
    return [*lines, line]


def _ink(image: Image.Image, top: int, height: int, rng: Random) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A text colour that stands out from the strip it is written on, and its opposite."""
    strip = image.crop((0, max(0, top), image.width, min(image.height, max(0, top) + max(1, height))))
    dark = np.asarray(strip.convert("L")).mean() > 127
    tint = tuple(rng.randint(0, 90) for _ in range(3)) if rng.random() < 0.4 else (0, 0, 0)
    light = tuple(255 - c for c in tint)
    return (tint, light) if dark else (light, tint)


def _sign(image: Image.Image, mask: Image.Image, lines: list[str], font: ImageFont.FreeTypeFont, rng: Random) -> Canvas:
    """Words on a tilted plate somewhere in the picture."""
    length = int(max(font.getlength(line) for line in lines)) + 16
    height = int(len(lines) * font.size * 1.25) + 14
    fill = tuple(rng.randint(0, 255) for _ in range(3))
    plate, marks = Image.new("RGBA", (length, height), (*fill, 255)), Image.new("L", (length, height))
    ink = (0, 0, 0) if sum(fill) > 380 else (255, 255, 255)
    draw = ImageDraw.Draw(plate)
    for i, line in enumerate(lines):
        y = 6 + i * font.size * 1.25
        draw.text((8, y), line, font=font, fill=ink)
        ImageDraw.Draw(marks).rectangle((8, y + 2, 8 + font.getlength(line), y + font.size * 1.1), fill=255)
    angle = rng.uniform(-20, 20)
    plate, marks = plate.rotate(angle, expand=True, resample=Image.Resampling.BICUBIC), marks.rotate(angle, expand=True)
    if rng.random() < 0.4:
        plate = plate.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.0)))
    plate.thumbnail(image.size)
    marks = marks.resize(plate.size)
    place = (rng.randint(0, max(0, image.width - plate.width)), rng.randint(0, max(0, image.height - plate.height)))
    image.paste(plate, place, plate)
    mask.paste(marks, place)
    return Canvas(image, mask)


def _bars(draw: ImageDraw.ImageDraw, width: int, height: int, rng: Random) -> None:
    count = rng.randint(3, 9)
    for i in range(count):
        left = width * (i + 0.6) / (count + 1)
        colour = tuple(rng.randint(0, 220) for _ in range(3))
        draw.rectangle(
            (left, height * rng.uniform(0.3, 0.85), left + width / (count + 1) * 0.7, height * 0.95), fill=colour
        )
