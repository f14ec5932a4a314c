"""Folders and files that appear whole or not at all; folders never replace what they are not asked to."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def fresh(out: Path, marker: str, force: bool) -> Iterator[Path]:
    """Gives an empty folder that becomes out when the block ends well, and vanishes when it fails.

    A folder that is there is an error; with force it is replaced, but only if it holds the file named marker, so that
    a slip of the keyboard costs nobody their home. ValueError says which.
    """
    if out.exists():
        if not force:
            raise ValueError(f"{out} is there already; --force replaces it")
        if not (out / marker).is_file():
            raise ValueError(f"{out} has no {marker}, so it is not replaced even with --force")
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield work
        work.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        work.rename(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a name to write to, which takes `path`'s place when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    yield part
    with part.open("rb") as written:
        os.fsync(written.fileno())
    os.replace(part, path)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """The file is whole, old or new, whatever happens."""
    with replacing(path) as part:
        part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
