"""The bundle's model as a Python program runs it: PIL, Hugging Face's tokenizers and ONNX Runtime.

Small runs win on a CPU: four images, or eight texts of about the same length, on one thread each.
"""

import io
from pathlib import Path

import numpy as np
import onnxruntime as ort
import yaml
from PIL import Image, ImageOps
from tokenizers import BertWordPieceTokenizer

IMAGES_A_RUN = 4
TEXTS_A_RUN = 8


def session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def tokenizer(bundle: Path, lowercase: bool, max_tokens: int) -> BertWordPieceTokenizer:
    t = BertWordPieceTokenizer(str(bundle / "vocab.txt"), lowercase=lowercase)
    t.enable_truncation(max_tokens)
    return t


class Towers:
    """The towers and the head of one bundle. Its methods may be called by several threads."""

    def __init__(self, bundle: Path, draft: bool):
        manifest = yaml.safe_load((bundle / "bundle.yaml").read_text())
        text, image = manifest["text"], manifest["image"]
        self.draft = draft
        self.side = image["height"]
        self.orient = image["exif"] == "apply"
        self.model = {key: manifest[key] for key in ("name", "version")}
        self.labels = manifest["labels"]
        self.matrix = np.array(manifest["calibration"]["matrix"])
        self.bias = np.array(manifest["calibration"]["bias"])
        self.text = session(bundle / text["graph"])
        self.image = session(bundle / image["graph"])
        self.head = session(bundle / manifest["head"]["graph"])
        self.tokenizer = tokenizer(bundle, text["tokenizer"]["lowercase"], text["max_tokens"])

    def pixels(self, file: bytes) -> np.ndarray:
        im = Image.open(io.BytesIO(file))
        if self.draft:
            # libjpeg then decodes at the smallest of its scales that still has twice the pixels needed.
            im.draft("RGB", (2 * self.side, 2 * self.side))
        if self.orient:
            ImageOps.exif_transpose(im, in_place=True)
        return np.asarray(im.convert("RGB").resize((self.side, self.side), Image.Resampling.BILINEAR))

    def see(self, files: list[bytes]) -> np.ndarray:
        """[n, image width] of up to IMAGES_A_RUN files."""
        return self.image.run(["image"], {"pixels": np.stack([self.pixels(f) for f in files])})[0]

    def read(self, ids: list[list[int]]) -> np.ndarray:
        """[n, text width] of up to TEXTS_A_RUN texts."""
        padded = np.zeros((len(ids), max(map(len, ids))), np.int64)
        mask = np.zeros_like(padded)
        for row, tokens in enumerate(ids):
            padded[row, : len(tokens)], mask[row, : len(tokens)] = tokens, 1
        return self.text.run(["text"], {"input_ids": padded, "attention_mask": mask})[0]

    def relate(self, text: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Calibrated scores [n, 4], similarities [n] and embeddings [n, d] of length 1."""
        outputs = ["logits", "similarity", "embedding"]
        logits, similarity, embedding = self.head.run(outputs, {"text": text, "image": image})
        z = logits @ self.matrix.T + self.bias
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return (
            e / e.sum(axis=1, keepdims=True),
            similarity,
            embedding / np.linalg.norm(embedding, axis=1, keepdims=True),
        )
