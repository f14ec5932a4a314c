"""A bundle that labels pairs as itrstream does: from text and picture file to logits and probabilities. No torch."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from itr import bundle, pictures, run
from itr.calibrate import Calibration
from itr.pieces import Pieces

# What Pillow raises for bytes that are no picture it can decode.
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


class Labeller:
    """An opened bundle; ValueError when its files are not those of its manifest."""

    def __init__(self, folder: Path) -> None:
        self.manifest = bundle.read(folder)
        self.digest = hashlib.sha256((folder / bundle.MANIFEST).read_bytes()).hexdigest()
        self.graphs = run.load(folder)
        text, calibration = self.manifest["text"], self.manifest["calibration"]
        self.pieces = Pieces(folder, text["tokenizer"]["type"], text["max_tokens"])
        self.calibration = Calibration(
            np.array(calibration["matrix"], np.float64),
            np.array(calibration["bias"], np.float64),
            calibration["source"],
        )

    def pixels(self, encoded: bytes) -> np.ndarray:
        """uint8 [H,W,3] of a picture file's bytes; one of UNREADABLE when they are none."""
        return pictures.load(io.BytesIO(encoded), self.manifest["image"])

    def text(self, rows: Sequence[Sequence[int]]) -> np.ndarray:
        """ids of N texts → float32 [N, text width]."""
        return self.graphs.text(rows)

    def logits(self, text: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """float32 [N, text width], uint8 [H,W,3] of the one picture beside all of them → float32 [N,4]."""
        image = self.graphs.image(pixels[None])
        return self.graphs.head(text, np.repeat(image, len(text), 0))[0]

    def scores(self, logits: np.ndarray) -> np.ndarray:
        """[N,4] → calibrated probabilities float32 [N,4]."""
        return self.calibration.probabilities(logits.astype(np.float64)).astype(np.float32)
