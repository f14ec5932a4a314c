"""Reads the files of a Qt binary resource archive (.rcc), the form in which gcompris ships its pictures."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

_COMPRESSED, _DIRECTORY, _ZSTD = 1, 2, 4


def files(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yields (path, bytes) of every stored file in tree order. Zstandard entries are not supported: ValueError."""
    blob = archive.read_bytes()
    magic, version, tree, data, names = struct.unpack_from(">4s4I", blob)
    if magic != b"qres" or version not in (1, 2, 3):
        raise ValueError(f"{archive}: not a Qt resource archive of version 1 to 3")
    node_size = 14 if version == 1 else 22

    def name(offset: int) -> str:
        (length,) = struct.unpack_from(">H", blob, names + offset)
        start = names + offset + 6
        return blob[start : start + 2 * length].decode("utf-16-be")

    def walk(index: int, folder: str) -> Iterator[tuple[str, bytes]]:
        at = tree + index * node_size
        name_offset, flags = struct.unpack_from(">IH", blob, at)
        path = folder if index == 0 else f"{folder}/{name(name_offset)}"
        if flags & _DIRECTORY:
            count, first = struct.unpack_from(">II", blob, at + 6)
            for child in range(first, first + count):
                yield from walk(child, path)
            return
        (offset,) = struct.unpack_from(">I", blob, at + 10)
        (length,) = struct.unpack_from(">I", blob, data + offset)
        content = blob[data + offset + 4 : data + offset + 4 + length]
        if flags & _ZSTD:
            raise ValueError(f"{archive}: {path} is Zstandard-compressed, which this reader does not know")
        yield path, zlib.decompress(content[4:]) if flags & _COMPRESSED else content

    yield from walk(0, "")
