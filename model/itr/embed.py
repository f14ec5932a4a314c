"""What training asks of a model, and how pairs become embeddings: in micro-batches, as in the paper's code.

A two-tower model encodes texts and pictures apart. A single-tower model (VisualBERT, LXMERT) has `encode_pairs` instead
of `encode_image`, and `encode_text` only if it can read a text alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from PIL.Image import Image
from torch import nn

from itr.pairs import DataError, Pair

MICRO_BATCH = 8  # padding and BatchNorm see this many; a model may state its own as `micro_batch`
# The second half of the clustered embedding by clustering task; the first is the text.
SIDES = {"1": "image", "2": "ocr", "3": "caption"}


class TwoTowers(Protocol):
    """An nn.Module with these members; B pairs, ht and hv wide, k classes."""

    encoder_t: nn.Module
    encoder_v: nn.Module
    proj_t: nn.Module  # [B, ht] → [B, D]
    proj_v: nn.Module  # [B, hv] → [B, D]
    head1: nn.Linear  # [B, ht+hv] → [B, k], as head2, head3 and classifier
    head2: nn.Linear
    head3: nn.Linear
    classifier: nn.Linear

    def encode_text(self, texts: Sequence[str]) -> torch.Tensor:
        """[B, ht], the pooler's output before the projection."""

    def encode_image(self, images: Sequence[Image]) -> torch.Tensor:
        """[B, hv], the pooler's output before the projection."""


@dataclass
class Embedded:
    """Embeddings of N pairs: text [N, ht], image [N, hv], and both as the classifier takes them, pair [N, d]."""

    text: torch.Tensor
    image: torch.Tensor
    pair: torch.Tensor

    def rows(self, indices: Sequence[int]) -> "Embedded":
        return Embedded(self.text[indices], self.image[indices], self.pair[indices])


def embed(
    model: nn.Module, pairs: Sequence[Pair], text: torch.Tensor | None = None, image: torch.Tensor | None = None
) -> Embedded:
    """Texts and pictures of some pairs, in the model's own mode (train or eval) and with gradients if they are on.

    Two towers take embeddings that are given instead of encoding again.
    """
    if hasattr(model, "encode_pairs"):
        parts = [Embedded(*model.encode_pairs(part)) for part in _micro(model, pairs)]
        return Embedded(*(torch.cat([getattr(part, name) for part in parts]) for name in ("text", "image", "pair")))
    if text is None:
        text = _texts(model, [pair.text for pair in pairs])
    if image is None:
        image = torch.cat([model.encode_image([pair.image() for pair in part]) for part in _micro(model, pairs)])
    return Embedded(text, image, torch.cat([text, image], 1))


def embed_for_clusters(model: nn.Module, pairs: Sequence[Pair], task: str) -> Embedded:
    """What KMeans sees, as `pair`: text beside picture (task 1), OCR text (2) or caption (3).

    `image` holds that second half. A model that can't read a text alone embeds for every task as for task 1.
    """
    side = SIDES[task]
    if side == "image" or not hasattr(model, "encode_text"):
        return embed(model, pairs)
    text = _texts(model, [pair.text for pair in pairs])
    other = _texts(model, [getattr(pair, side) for pair in pairs])
    return Embedded(text, other, torch.cat([text, other], 1))


def check_sides(pairs: Sequence[Pair], task: str) -> None:
    """DataError for the first pair that lacks what a clustering task reads."""
    for pair in pairs:
        if SIDES[task] != "image" and getattr(pair, SIDES[task]) is None:
            raise DataError(f"{pair.where}: no {SIDES[task]} text, which task {task} clusters by")


@torch.no_grad()
def embed_all(model: nn.Module, pairs: Sequence[Pair], batch: int) -> Embedded:
    """All pairs in eval mode, on the CPU, in batches of `batch` that are cut into micro-batches."""
    model.eval()
    parts = [embed(model, pairs[i : i + batch]) for i in range(0, len(pairs), batch)]
    return Embedded(*(torch.cat([getattr(part, name).cpu() for part in parts]) for name in ("text", "image", "pair")))


def _texts(model: nn.Module, texts: Sequence[str]) -> torch.Tensor:
    return torch.cat([model.encode_text(part) for part in _micro(model, texts)])


def _micro(model: nn.Module, items: Sequence) -> list[Sequence]:
    size = getattr(model, "micro_batch", MICRO_BATCH)
    return [items[i : i + size] for i in range(0, len(items), size)]
