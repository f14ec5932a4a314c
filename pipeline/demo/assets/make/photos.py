"""The photographs: public domain or CC0, each with where it comes from and who made it."""

import hashlib
import io
import re
import subprocess
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from itr import rcc
from PIL import Image, ImageOps

GCOMPRIS = ("gcompris-qt-data_3.1-2_all.deb", "e9cf06ab2105529068df73085784e835d2ff03f870d2a8091f09125d40abac9f")
SKIMAGE = ("scikit_image-0.26.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl", "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af")


@dataclass(frozen=True)
class Photo:
    """One photograph. `member` is its path inside the package."""

    file: str
    package: str  # gcompris-qt-data or scikit-image
    member: str
    author: str
    licence: str
    source: str


_G, _S = "gcompris-qt-data", "scikit-image"
_COMMONS = "Wikimedia Commons, "
PHOTOS = (
    Photo("astronaut.jpg", _S, "astronaut.png", "NASA", "public domain", "NASA Great Images, portrait of Eileen Collins"),
    Photo("cat.jpg", _S, "chelsea.png", "Stefan van der Walt", "CC0", "scikit-image, chelsea"),
    Photo("chickens.jpg", _G, "explore_farm_animals/resource/animals/chicken", "Tranquilles", "public domain", _COMMONS + "Chickens_at_Tranquilles_B&B.JPG"),
    Photo("coffee.jpg", _S, "coffee.png", "Rachel Michetti", "CC0", "scikit-image, coffee"),
    Photo("crab.jpg", _G, "erase/resource/crab", "Nosferattus", "CC0", _COMMONS + "Sally_Lightfoot_Crab_2019.jpg"),
    Photo("dog.jpg", _G, "explore_farm_animals/resource/animals/dog", "Hans Kemperman", "public domain", _COMMONS + "German-shepherd-4040871920._(2).jpg"),
    Photo("drums.jpg", _G, "explore_world_music/resource/music/africa", "Kenneth Ritchards", "public domain", _COMMONS + "Bata_drums.jpg"),
    Photo("earth.png", _G, "solar_system/resource/earth", "NASA, Timothée Giet", "public domain", _COMMONS + "The_Blue_Marble.jpg"),
    Photo("festival.jpg", _G, "explore_world_music/resource/music/japan", "takami torao", "public domain", _COMMONS + "Agidaiko03.jpg"),
    Photo("galaxies.jpg", _S, "hubble_deep_field.jpg", "NASA", "public domain", "scikit-image, hubble_deep_field"),
    Photo("hedgehog.jpg", _G, "explore_world_animals/resource/animals/hedgehog", "George Chernilevsky", "public domain", _COMMONS + "Erinaceus_roumanicus_2020_G2.jpg"),
    Photo("horses.jpg", _G, "explore_farm_animals/resource/animals/horse", "Seth Zeigler", "CC0", _COMMONS + "Nokota_Horse_Stud_Band.jpg"),
    Photo("kingfisher.webp", _G, "erase/resource/kingfisher", "Frank-2.0", "CC0", _COMMONS + "Eisvogel_kingfisher.jpg"),
    Photo("kitten.jpg", _G, "explore_farm_animals/resource/animals/cat", "Loliloli", "public domain", _COMMONS + "Spielendes_Kätzchen.JPG"),
    Photo("moose.jpg", _G, "explore_world_animals/resource/animals/moose", "Ryan Hagerty", "public domain", _COMMONS + "Male_Moose.jpg"),
    Photo("night_cafe.jpg", _G, "details/resource/image/Van_Gogh_The_Night_Cafe_background", "Vincent van Gogh", "public domain", "The Night Café, 1888, by way of gcompris-qt-data"),
    Photo("orchestra.jpg", _G, "explore_world_music/resource/music/orchestra", "ABC Informática", "public domain", _COMMONS + "Orchestra_of_the_18th_Century.jpg"),
    Photo("owl.jpg", _G, "explore_farm_animals/resource/animals/owl", "Lepale", "CC0", _COMMONS + "Owl_The_Nightbird.jpg"),
    Photo("panda.jpg", _G, "explore_world_animals/resource/animals/panda", "Jeff Kubina", "public domain", _COMMONS + "Giant_Panda_2004-03-2.jpg"),
    Photo("photographer.jpg", _S, "camera.png", "Lav Varshney", "CC0", "scikit-image, camera"),
    Photo("polar_bear.webp", _G, "explore_world_animals/resource/animals/polar_bear", "anonymous", "public domain", _COMMONS + "Churchill_Wildlife_Management_Area_polar_bear30.JPG"),
    Photo("red_panda.jpg", _G, "erase/resource/red_panda", "Mathias Appel", "CC0", _COMMONS + "Red_Panda_(30324056733).jpg"),
    Photo("rocket.jpg", _S, "rocket.jpg", "SpaceX", "public domain", "scikit-image, rocket"),
    Photo("sheep.jpg", _G, "explore_farm_animals/resource/animals/sheep", "Rob Mitchell", "CC0", _COMMONS + "Sheep_(33625876592).jpg"),
    Photo("windmill.jpg", _G, "categorization/resource/images/renewable/windmill", "G-Man", "public domain", _COMMONS + "Chesterton_Windmill.jpg"),
)

_SIDE, _BYTES = 800, 82_000


def encoded(packages: Path) -> dict[str, bytes]:
    """Returns every photograph as the bytes of its demo file, made from the two packages in that folder."""
    originals = _originals(packages)
    return {photo.file: _encode(photo.file, originals[photo.package, photo.member]) for photo in PHOTOS}


def _originals(packages: Path) -> dict[tuple[str, str], Image.Image]:
    found: dict[tuple[str, str], Image.Image] = {}
    wheel = zipfile.ZipFile(io.BytesIO(_checked(packages, *SKIMAGE)))
    for photo in PHOTOS:
        if photo.package == _S:
            found[_S, photo.member] = Image.open(io.BytesIO(wheel.read(f"skimage/data/{photo.member}")))
    _checked(packages, *GCOMPRIS)
    wanted = {photo.member for photo in PHOTOS if photo.package == _G}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["dpkg-deb", "-x", packages / GCOMPRIS[0], folder], check=True)
        for activity in sorted({member.split("/")[0] for member in wanted}):
            for path, content in rcc.files(Path(folder, f"usr/share/gcompris-qt/rcc/{activity}.rcc")):
                member = re.sub(r"^.*/activities/|\.[a-z]+$", "", path)
                if member in wanted and path.endswith(".webp"):
                    found[_G, member] = Image.open(io.BytesIO(content))
    return found


def _checked(folder: Path, name: str, digest: str) -> bytes:
    content = (folder / name).read_bytes()
    if (got := hashlib.sha256(content).hexdigest()) != digest:
        raise RuntimeError(f"{name}: sha256 is {got}, pinned is {digest}")
    return content


def _encode(file: str, original: Image.Image) -> bytes:
    """One file a kind that a decoder meets: progressive, grey, 4:4:4, rotated by EXIF, WebP, PNG with alpha."""
    image = original if original.mode == "L" else original.convert("RGBA" if file == "earth.png" else "RGB")
    image.thumbnail((_SIDE, _SIDE))
    if file.endswith(".png"):
        image.thumbnail((256, 256))
        return _bytes(image, format="PNG", optimize=True)
    if file.endswith(".webp"):
        return _bytes(image, format="WEBP", quality=75)
    options = {"format": "JPEG", "progressive": file == "rocket.jpg", "subsampling": 0 if file == "kitten.jpg" else 2}
    if file == "owl.jpg":  # a phone held upright: stored on its side, turned back by the viewer
        image = image.transpose(Image.Transpose.ROTATE_90)
        exif = Image.Exif()
        exif[0x0112] = 6
        assert ImageOps.exif_transpose(_with_exif(image, exif)).size == (image.height, image.width)
        options["exif"] = exif
    for quality in range(86, 30, -4):
        content = _bytes(image, quality=quality, **options)
        if len(content) <= _BYTES:
            return content
    raise RuntimeError(f"{file} does not fit into {_BYTES} bytes")


def _with_exif(image: Image.Image, exif: Image.Exif) -> Image.Image:
    return Image.open(io.BytesIO(_bytes(image, format="JPEG", exif=exif)))


def _bytes(image: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, **options)
    return out.getvalue()
