"""Region features of pictures, in the tab-separated file that bottom-up attention writes and the single towers read.

Ten columns without a header: img_id, img_h, img_w, objects_id, objects_conf, attrs_id, attrs_conf, num_boxes, boxes,
features; the arrays in base64, ids int64, the others float32.
"""

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from itr.pairs import DataError

COLUMNS = 10
_BOX = 4


@dataclass(frozen=True)
class Regions:
    """An indexed file. Rows are decoded when asked for: a hundred thousand pictures are 30 GB of features."""

    path: Path
    offsets: dict[str, int]

    def of(self, image_id: str, where: str) -> tuple[np.ndarray, np.ndarray]:
        """Features float32 [R, F] and boxes float32 [R, 4] as shares of the picture's width and height."""
        if image_id not in self.offsets:
            raise DataError(f"{where}: picture {image_id} has no row in {self.path}")
        with self.path.open("rb") as file:
            file.seek(self.offsets[image_id])
            fields = file.readline().rstrip(b"\r\n").split(b"\t")
        row = f"{self.path}, picture {image_id}"
        if len(fields) != COLUMNS:
            raise DataError(f"{row}: {len(fields)} columns instead of {COLUMNS}")
        try:
            height, width, count = (int(fields[i]) for i in (1, 2, 7))
            boxes, features = (
                np.frombuffer(base64.b64decode(fields[i], validate=True), "<f4").reshape(count, -1) for i in (8, 9)
            )
        except (ValueError, binascii.Error) as error:
            raise DataError(f"{row}: {error}") from error
        if count < 1 or boxes.shape[1] != _BOX or not width > 0 < height:
            raise DataError(f"{row}: {count} boxes of {boxes.shape[1]} numbers in a picture of {width}×{height}")
        return features, boxes / np.array([width, height, width, height], np.float32)


def read(path: Path) -> Regions:
    """Indexes a file by img_id; of equal ids the last row counts."""
    offsets = {}
    at = 0
    try:
        with path.open("rb") as file:
            for line in file:
                offsets[line.split(b"\t", 1)[0].decode()] = at
                at += len(line)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not offsets:
        raise DataError(f"{path}: the file is empty")
    return Regions(path, offsets)
