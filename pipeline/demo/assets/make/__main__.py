"""Makes the demo's images again: `PYTHONPATH=model python pipeline/demo/assets/make PACKAGES` (see ../README.md)."""

import sys
from pathlib import Path

import graphics
import photos

FOLDER = Path(__file__).resolve().parent.parent / "images"


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(f"usage: python make FOLDER, which holds {photos.GCOMPRIS[0]} and {photos.SKIMAGE[0]}")
    made = photos.encoded(Path(sys.argv[1]))
    made |= graphics.encoded(made)
    FOLDER.mkdir(exist_ok=True)
    for file, content in sorted(made.items()):
        (FOLDER / file).write_bytes(content)
        print(f"{len(content):7,} {file}")
    print(f"{sum(map(len, made.values())):,} bytes in {len(made)} files")


if __name__ == "__main__":
    main()
