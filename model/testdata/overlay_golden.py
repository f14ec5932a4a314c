"""Writes overlay_golden.json: a picture, an activation map, and the overlay that `itr cam` paints of them. The Go tests
compare theirs with it.

    python model/testdata/overlay_golden.py
"""

import json
from pathlib import Path

import numpy as np

from itr import overlay


def main() -> None:
    rng = np.random.default_rng(17)
    pixels, cells = rng.integers(0, 256, (9, 12, 3), np.uint8), rng.random((3, 5)).round(3)
    painted = overlay.paint(pixels, cells)
    golden = {
        "height": 9,
        "width": 12,
        "pixels": pixels.ravel().tolist(),
        "cam_height": 3,
        "cam_width": 5,
        "cells": cells.ravel().tolist(),
        "overlay": painted.ravel().tolist(),
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
