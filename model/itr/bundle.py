"""The bundle folder: its manifest, its digests, and the check that both agree. Needs no torch."""

import hashlib
from pathlib import Path
from typing import Any

import yaml

MANIFEST = "bundle.yaml"
LABELS = ("neither", "image_adds", "text_represented", "both")


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file by its path with slashes, without the manifest."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def write(folder: Path, manifest: dict[str, Any]) -> None:
    """Writes bundle.yaml with the digests of what the folder holds now."""
    text = yaml.safe_dump({**manifest, "files": digests(folder)}, sort_keys=False, allow_unicode=True, width=140)
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def read(folder: Path) -> dict[str, Any]:
    """The manifest of a bundle whose files are those that it lists; ValueError names each that is not."""
    path = folder / MANIFEST
    if not path.is_file():
        raise ValueError(f"{folder} is no bundle: it has no {MANIFEST}")
    manifest = yaml.safe_load(path.read_text(encoding="utf-8"))
    listed, found = manifest["files"], digests(folder)
    faults = [f"{name} is missing" for name in listed.keys() - found.keys()]
    faults += [f"{name} is not listed" for name in found.keys() - listed.keys()]
    faults += [
        f"{name} has another SHA-256 than the manifest says"
        for name in listed.keys() & found.keys()
        if listed[name] != found[name]
    ]
    if faults:
        raise ValueError(f"{folder}: " + "; ".join(sorted(faults)))
    return manifest
