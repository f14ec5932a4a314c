"""The words in a picture, by PP-OCR's detection, line direction and recognition models on ONNX Runtime.

Models, and what is done before and after each, are rapidocr's (Apache-2.0, as the models are); they lie in its wheel.
"""

from collections.abc import Sequence
from importlib import metadata

from PIL import Image
from rapidocr import RapidOCR

from itr.filled import Filling, Unreadable

# As PaddleOCR, which the paper's code calls, has it. rapidocr enlarges small pictures instead: three times the work for
# a line or two more on crowded ones.
_SIZE = {"Det.limit_type": "max", "Det.limit_side_len": 960}


def filling(separator: str) -> Filling:
    """Fills `ocr` with the lines of each picture from the top, put together with a separator; "" where are none."""
    engine = RapidOCR(params={"Global.log_level": "error", **_SIZE})

    def read(image: Image.Image) -> str | Unreadable:
        try:
            lines = engine(image).txts
        except Exception as error:  # one picture's trouble in three libraries must not end a run over 100,000
            return Unreadable(f"OCR failed: {type(error).__name__}")
        return separator.join(lines or ())

    def describe(images: Sequence[Image.Image]) -> list[str | Unreadable]:
        return [read(image) for image in images]

    return Filling("ocr", describe, {"models": f"rapidocr {metadata.version('rapidocr')}", "separator": separator})
