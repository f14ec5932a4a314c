"""Seeds and the order of batches, drawn as torch's DataLoader draws them: a seed means what it meant to the paper.

Each pass over a loader takes one number from torch's generator, a shuffled pass a second. Passes that only evaluate
count, too: the order of the next training pass depends on them.
"""

import os
import random
from typing import Any

import numpy as np
import torch

Batch = list[int]


def seed_everything(seed: int) -> None:
    """Seeds random, numpy and torch, and allows deterministic operations only."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)


def shuffled(count: int, batch: int) -> list[Batch]:
    """Indices below `count` in batches; the last one may be short."""
    _draw()
    generator = torch.Generator()
    generator.manual_seed(_draw())
    order = torch.randperm(count, generator=generator).tolist()
    return [order[i : i + batch] for i in range(0, count, batch)]


def straight(count: int, batch: int) -> list[Batch]:
    """Indices below `count` in batches, in order."""
    skip_passes(1)
    return [list(range(i, min(i + batch, count))) for i in range(0, count, batch)]


def skip_passes(passes: int) -> None:
    """Takes from the generator what this many unshuffled passes would."""
    for _ in range(passes):
        _draw()


def random_state() -> dict[str, Any]:
    """State of all generators, as tensors and plain values."""
    name, keys, *rest = np.random.get_state(legacy=True)
    state = {"python": random.getstate(), "numpy": (name, keys.tolist(), *rest), "torch": torch.get_rng_state()}
    return {**state, "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []}


def restore_random_state(state: dict[str, Any]) -> None:
    """Puts back what random_state gave."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])


def _draw() -> int:
    return int(torch.empty((), dtype=torch.int64).random_().item())
