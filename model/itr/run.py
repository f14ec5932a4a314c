"""Runs a bundle's graphs with ONNX Runtime as its manifest says: texts one at a time, pictures in batches. Needs no
torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime


@dataclass
class Graphs:
    """The four sessions of a bundle folder, on one thread each."""

    text_session: onnxruntime.InferenceSession
    image_session: onnxruntime.InferenceSession
    head_session: onnxruntime.InferenceSession | None
    explain_session: onnxruntime.InferenceSession | None

    def text(self, ids: Sequence[Sequence[int]]) -> np.ndarray:
        """[N, text width], each text alone and unpadded."""
        rows = [np.array([row], np.int64) for row in ids]
        return np.concatenate(
            [self.text_session.run(None, {"input_ids": row, "attention_mask": np.ones_like(row)})[0] for row in rows]
        )

    def image(self, pixels: np.ndarray, batch: int = 16) -> np.ndarray:
        """uint8 [N,224,224,3] → [N, image width]."""
        return np.concatenate(
            [self.image_session.run(None, {"pixels": pixels[i : i + batch]})[0] for i in range(0, len(pixels), batch)]
        )

    def head(self, text: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """logits [N,4], similarity [N], embedding [N,D]."""
        return tuple(self.head_session.run(["logits", "similarity", "embedding"], {"text": text, "image": image}))

    def explain(self, pixels: np.ndarray, text: np.ndarray) -> np.ndarray:
        """cam [N,4,h,w]."""
        return self.explain_session.run(["cam"], {"pixels": pixels, "text": text})[0]


def session(path: Path) -> onnxruntime.InferenceSession:
    """A graph on one thread of the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def load(folder: Path) -> Graphs:
    """The graphs of a folder; head and explain may be missing while a bundle is being built."""

    def optional(name: str) -> onnxruntime.InferenceSession | None:
        return session(folder / name) if (folder / name).exists() else None

    return Graphs(
        session(folder / "text.onnx"), session(folder / "image.onnx"), optional("head.onnx"), optional("explain.onnx")
    )
