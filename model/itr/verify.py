"""Replays a bundle's golden cases by its graphs, from the picture files and the recorded token ids on. Needs no
torch.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from itr import bundle, golden, pictures, run


def differences(folder: Path) -> dict[str, float]:
    """Largest absolute difference of each recorded output. ValueError when files or pixels are not those of the
    manifest.
    """
    manifest = bundle.read(folder)
    graphs = run.load(folder)
    worst: dict[str, float] = {}
    for case in json.loads((folder / golden.FILE).read_text()):
        pixels = pictures.load(folder / case["image"], manifest["image"])
        if hashlib.sha256(pixels.tobytes()).hexdigest() != case["pixels_sha256"]:
            raise ValueError(f"{folder}: {case['image']} gives other pixels than it did when the bundle was made")
        text, image = graphs.text([case["input_ids"]]), graphs.image(pixels[None])
        logits, similarity, embedding = graphs.head(text, image)
        got = {
            "text_first8": text,
            "image_first8": image,
            "logits": logits,
            "similarity": similarity,
            "embedding_first8": embedding,
            "cam_first8": graphs.explain(pixels[None], text),
        }
        for name, value in got.items():
            want = np.atleast_1d(np.array(case[name]))
            worst[name] = max(worst.get(name, 0.0), float(np.abs(value.ravel()[: len(want)] - want).max()))
    return worst
