"""State dicts as the public code saved them: the keys of transformers 4.24, at full size or small, with random values.

published_keys.json holds every key and shape of the six variants, taken from instances of the classes that the public
code uses. Small ones keep what tells variants apart (vocabularies, patch sizes, heads of 64) and lose width and depth.
"""

import json
import re
from pathlib import Path

import torch
from torch import Tensor

VARIANTS: dict[str, list[tuple[str, list[int]]]] = json.loads(
    (Path(__file__).parent / "published_keys.json").read_text()
)
LAYERS = 2


def full(variant: str, device: str = "meta") -> dict[str, Tensor]:
    """Every key at its full shape; on the meta device, which holds no values."""
    return {key: torch.empty(shape, dtype=_dtype(key), device=device) for key, shape in VARIANTS[variant]}


def small(variant: str, seed: int = 7) -> dict[str, Tensor]:
    """Two layers a tower (one a ResNet stage) and narrow, random. The classifier is head1, storage and all."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for key, shape in VARIANTS[variant]:
        if _deep(key):
            continue
        state[key] = _values(key, _narrow(variant, key, shape), generator)
    state["classifier.weight"], state["classifier.bias"] = state["head1.weight"], state["head1.bias"]
    return state


def _deep(key: str) -> bool:
    if found := re.search(r"stages\.(\d+)\.layers\.(\d+)\.", key):
        return int(found.group(2)) >= 1 + (found.group(1) == "1")
    found = re.search(r"(?:layer|layers|r_layers|x_layers)\.(\d+)\.", key)
    return bool(found) and int(found.group(1)) >= LAYERS


def _narrow(variant: str, key: str, shape: list[int]) -> list[int]:
    text, image = _widths(variant)
    if re.match(r"(?:head\d|classifier)\.", key):
        return [shape[0], text + image if _two_towers(variant) else text][: len(shape)]
    if key.startswith("proj_"):
        return [16, text if key == "proj_t.weight" else image]
    if "resnet" in variant and key.startswith("encoder_v."):
        return [n // 16 if n >= 64 else n for n in shape]
    narrower = {768: 128, 3072: 192} | ({512: 64, 2048: 192} if variant.startswith("clip") else {})
    tables = (
        r"(?:word_embeddings|token_embedding|position_embeddings?|token_type_embeddings|position_ids)(?:\.weight)?$"
    )
    if re.search(tables, key):
        return [*shape[:-1], narrower.get(shape[-1], shape[-1])]
    return [narrower.get(n, n) for n in shape]


def _two_towers(variant: str) -> bool:
    return "+" in variant or variant.startswith("clip")


def _widths(variant: str) -> tuple[int, int]:
    """Of the text and the image vector of a small one."""
    return 64 if variant.startswith("clip") else 128, 128


def _dtype(key: str) -> torch.dtype:
    return torch.int64 if key.endswith(("position_ids", "num_batches_tracked")) else torch.float32


def _values(key: str, shape: list[int], generator: torch.Generator) -> Tensor:
    if key.endswith("position_ids"):
        return torch.arange(shape[-1]).view(shape)
    if key.endswith("num_batches_tracked"):
        return torch.tensor(100)
    noise = torch.randn(shape, generator=generator)
    if key.endswith("running_var"):
        return noise.square() + 0.5
    if re.search(r"norm\w*\.weight$", key, re.IGNORECASE):
        return 1 + 0.2 * noise
    if key.endswith("bias") or len(shape) < 2:
        return 0.2 * noise
    # As wide as fan-in allows, so that saturated poolers or dead attention hide no mistake.
    return noise * (1.5 / max(1, noise[0].numel()) ** 0.5 if "embedding" not in key else 0.4)
