"""Draws the test images, in images/, and writes pillow.jsonl: what Pillow makes of each.

    pip install pillow==13.0.0 numpy imagecodecs==2026.3.6
    python images.py

The pictures are drawn by arithmetic (waves, edges, noise), so nobody else has a right to them.
"""

import base64
import io
import json
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

HERE = Path(__file__).parent
FILES = HERE / "images"
random = np.random.default_rng(7)


def picture(width: int, height: int) -> np.ndarray:
    """Waves of every direction, hard edges, and noise in one corner: uint8 [height, width, 3]."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    planes = []
    for channel in range(3):
        plane = 128 + 70 * np.sin(x * (0.11 + 0.05 * channel) + y * 0.07) + 50 * np.cos(x * y / (90 + 40 * channel))
        plane += np.where((x // 9 + y // 7) % 5 == channel, 60, 0)
        plane += random.normal(0, 45, plane.shape) * (x > width * 0.6) * (y < height * 0.5)
        planes.append(plane)
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


def image(width: int, height: int) -> Image.Image:
    return Image.fromarray(picture(width, height))


def with_alpha(width: int, height: int) -> Image.Image:
    alpha = (np.indices((height, width)).sum(0) * 5 % 256).astype(np.uint8)
    return Image.fromarray(np.dstack([picture(width, height), alpha]))


def write(name: str, content: bytes):
    (FILES / name).write_bytes(content)


def save(name: str, picture: Image.Image, **options):
    picture.save(FILES / name, **options)


def jpegs():
    for name, subsampling in {"444": 0, "422": 1, "420": 2}.items():
        for width, height in [(1, 1), (2, 3), (3, 4), (4, 3), (5, 2), (16, 16), (31, 47), (64, 49)]:
            save(f"jpeg-{name}-{width}x{height}.jpg", image(width, height), subsampling=subsampling, quality=85)
        save(f"jpeg-{name}-progressive.jpg", image(61, 43), subsampling=subsampling, quality=75, progressive=True)
        save(f"jpeg-{name}-restarts.jpg", image(50, 35), subsampling=subsampling, restart_marker_blocks=2)
        save(
            f"jpeg-{name}-progressive-restarts.jpg",
            image(40, 39),
            subsampling=subsampling,
            progressive=True,
            restart_marker_blocks=3,
        )
    for quality in (1, 30, 100):
        save(f"jpeg-420-quality{quality}.jpg", image(48, 40), quality=quality)
    noise = Image.fromarray(random.integers(0, 256, (40, 44, 3)).astype(np.uint8))
    dots = Image.fromarray(np.where(random.random((40, 44)) < 0.02, 255, 128).astype(np.uint8))
    save("jpeg-444-noise.jpg", noise, subsampling=0, quality=100)
    save("jpeg-420-noise-progressive.jpg", noise, quality=98, progressive=True)
    save("jpeg-grey-dots.jpg", dots, quality=60)
    save("jpeg-grey-dots-progressive.jpg", dots, quality=60, progressive=True)
    save("jpeg-420-photo.jpg", image(200, 150), quality=80)
    save("jpeg-420-progressive-photo.jpg", image(150, 200), quality=80, progressive=True)
    save("jpeg-420-portrait.jpg", image(60, 120))
    save("jpeg-420-tall.jpg", image(18, 300), quality=60)
    for name in ("440", "411"):
        write(f"jpeg-{name}.jpg", imagecodecs.jpeg8_encode(picture(45, 37), level=85, subsampling=name))
    write("jpeg-rgb.jpg", imagecodecs.jpeg8_encode(picture(33, 30), level=85, colorspace="RGB", outcolorspace="RGB"))
    save("jpeg-grey.jpg", image(45, 37).convert("L"))
    save("jpeg-grey-progressive.jpg", image(45, 37).convert("L"), progressive=True)
    cmyk = image(37, 29).convert("CMYK")
    save("jpeg-cmyk.jpg", cmyk, quality=85)
    save("jpeg-cmyk-progressive.jpg", cmyk, quality=85, progressive=True)
    for colours, subsampling in [("CMYK", "444"), ("YCCK", "444"), ("YCCK", "422"), ("YCCK", "420")]:
        content = imagecodecs.jpeg8_encode(
            np.array(cmyk), level=85, colorspace="CMYK", outcolorspace=colours, subsampling=subsampling
        )
        write(f"jpeg-{colours.lower()}-adobe-{subsampling}.jpg", content)


def pngs():
    rgb, rgba = image(43, 31), with_alpha(41, 33)
    save("png-rgb.png", rgb)
    save("png-rgba.png", rgba)
    save("png-grey.png", rgb.convert("L"))
    save("png-grey-alpha.png", rgba.convert("LA"))
    save("png-1bit.png", rgb.convert("1"))
    save("png-transparent-colour.png", rgb, transparency=rgb.getpixel((0, 0)))
    for colours in (2, 4, 16, 200):
        save(f"png-palette-{colours}.png", rgb.quantize(colours))
    save("png-palette-transparent.png", rgb.quantize(20), transparency=bytes([0, 128, 255]))
    wide = random.integers(0, 1 << 16, (19, 23, 4)).astype(np.uint16)
    write("png-rgb-16bit.png", imagecodecs.png_encode(wide[..., :3].copy()))
    write("png-rgba-16bit.png", imagecodecs.png_encode(wide))
    dark = (wide[..., 0] // 90).astype(np.uint16)  # 0 to 728: both sides of where Pillow cuts off
    write("png-grey-16bit.png", imagecodecs.png_encode(dark))
    packed = random.integers(0, 256, (15, 6)).astype(np.uint8)
    for bits in (2, 4):
        write(
            f"png-grey-{bits}bit.png",
            png(6 * 8 // bits - 1, 15, bits, 0, b"".join(b"\0" + bytes(row) for row in packed)),
        )
    short = chunk(b"PLTE", bytes(range(30, 60)))
    write("png-palette-short.png", png(8, 2, 8, 3, b"\0\0\1\2\3\x09\x0a\x0b\xff" * 2, short))
    write("png-interlaced.png", interlaced(picture(21, 19)))


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, bits, colour_type, rows: bytes, extra=b"", interlace=0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, interlace)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def interlaced(pixels: np.ndarray) -> bytes:
    rows = b""
    for left, top, across, down in [
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ]:
        for row in pixels[top::down, left::across]:
            rows += b"\0" + row.tobytes()
    return png(pixels.shape[1], pixels.shape[0], 8, 2, rows, interlace=1)


def gifs():
    palette = image(37, 26).quantize(40)
    save("gif-plain.gif", palette, interlace=0)
    save("gif-interlaced.gif", palette, interlace=1)
    save("gif-transparent.gif", palette, transparency=3)
    save("gif-grey.gif", image(20, 20).convert("L"))
    save("gif-animated.gif", image(30, 30), save_all=True, append_images=[image(30, 30)])
    whole = (FILES / "gif-transparent.gif").read_bytes()
    at = whole.index(b",\0\0\0\0" + struct.pack("<HH", 37, 26))
    write("gif-offset-transparent.gif", moved(whole, at, 60, 40, 5, 9))
    whole = (FILES / "gif-plain.gif").read_bytes()
    at = whole.index(b",\0\0\0\0" + struct.pack("<HH", 37, 26))
    write("gif-offset.gif", moved(whole, at, 60, 40, 5, 9))
    write("gif-beyond-screen.gif", moved(whole, at, 10, 12, 3, 1))
    flags = whole[10]
    table = 3 << (flags & 7) + 1
    write("gif-no-palette.gif", whole[:10] + bytes([flags & 0x7F]) + whole[11:13] + whole[13 + table :])


def moved(gif: bytes, at: int, width: int, height: int, left: int, top: int) -> bytes:
    screen = gif[:6] + struct.pack("<HH", width, height) + gif[10:at]
    return screen + b"," + struct.pack("<HH", left, top) + gif[at + 5 :]


def webps():
    for width, height in [(1, 1), (2, 1), (1, 2), (3, 5), (16, 16), (33, 18), (47, 64)]:
        save(f"webp-lossy-{width}x{height}.webp", image(width, height), quality=70)
    for quality in (1, 30, 100):
        save(f"webp-lossy-quality{quality}.webp", image(48, 40), quality=quality, method=6)
    save("webp-lossy-photo.webp", image(200, 150), quality=60)
    save("webp-lossy-alpha.webp", with_alpha(35, 28), quality=70)
    save("webp-lossless.webp", image(35, 28), lossless=True)
    save("webp-lossless-palette.webp", image(35, 28).quantize(6).convert("RGB"), lossless=True)
    save("webp-lossless-alpha.webp", with_alpha(35, 28), lossless=True, exact=True)
    frames = [image(28, 24), image(28, 24)]
    save("webp-animated-lossy.webp", frames[0], save_all=True, append_images=frames[1:], quality=70)
    save("webp-animated-lossless.webp", frames[0], save_all=True, append_images=frames[1:], lossless=True)
    part = io.BytesIO()
    frames[0].save(part, "WEBP", quality=70)
    write("webp-animated-offset.webp", on_canvas(part.getvalue()[12:], frames[0].size, (40, 50), (6, 10)))


def on_canvas(chunks: bytes, size, canvas, corner) -> bytes:
    def part(kind, content):
        return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)

    def three(*numbers):
        return b"".join(struct.pack("<I", n)[:3] for n in numbers)

    extended = part(b"VP8X", b"\x12\0\0\0" + three(canvas[0] - 1, canvas[1] - 1))
    animation = part(b"ANIM", b"\xff\xff\xff\xff\0\0")
    frame = part(b"ANMF", three(corner[0] // 2, corner[1] // 2, size[0] - 1, size[1] - 1, 100) + b"\2" + chunks)
    body = b"WEBP" + extended + animation + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


def orientations():
    upright = image(23, 14)
    for value in range(10):
        exif = Image.Exif()
        exif[0x0112] = value
        save(f"exif-{value}.jpg", upright, exif=exif, quality=80)
        if value in (3, 6):
            save(f"exif-{value}.png", upright, exif=exif)
            save(f"exif-{value}.webp", upright, exif=exif, lossless=True)
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="8"/></x:xmpmeta>'
    save("xmp-8.jpg", upright, xmp=xmp, quality=80)
    save("xmp-8.webp", upright, xmp=xmp, lossless=True)
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", xmp.decode())
    save("xmp-8.png", upright, pnginfo=text)
    big = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x05\0\0\0\0\0\0"
    save("exif-5-big-endian.jpg", upright, exif=big, quality=80)


def crc(picture: Image.Image) -> int:
    return zlib.crc32(picture.tobytes())


def golden(path: Path) -> dict:
    opened = Image.open(path)
    lying = opened.convert("RGB")
    upright = ImageOps.exif_transpose(opened).convert("RGB")
    width, height = upright.size
    shortest = (20, 20 * height // width) if width <= height else (20 * width // height, 20)
    left, top = (shortest[0] - 16) // 2, (shortest[1] - 12) // 2
    return {
        "file": path.name,
        "size": upright.size,
        "upright": crc(upright),
        "lying": crc(lying),
        "small": base64.b64encode(upright.resize((12, 10), Image.Resampling.BILINEAR).tobytes()).decode(),
        "bilinear": crc(upright.resize((64, 56), Image.Resampling.BILINEAR)),
        "bicubic": crc(upright.resize((30, 40), Image.Resampling.BICUBIC)),
        "cropped": crc(upright.resize(shortest, Image.Resampling.BICUBIC).crop((left, top, left + 16, top + 12))),
    }


def main():
    FILES.mkdir(exist_ok=True)
    for old in FILES.iterdir():
        old.unlink()
    for draw in (jpegs, pngs, gifs, webps, orientations):
        draw()
    rows = [json.dumps(golden(path)) for path in sorted(FILES.iterdir())]
    (HERE / "pillow.jsonl").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
