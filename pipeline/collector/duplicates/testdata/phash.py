"""pHash of every picture in a folder by Python's imagehash, upright and in RGB, as JSON."""

import json
import sys
from pathlib import Path

import imagehash
from PIL import Image, ImageOps

hashes = {}
for file in sorted(Path(sys.argv[1]).iterdir()):
    with Image.open(file) as image:
        hashes[file.name] = str(imagehash.phash(ImageOps.exif_transpose(image).convert("RGB")))
json.dump(hashes, sys.stdout, indent=1)
print()
