"""Models that take texts and pictures as they are: a variant of `checkpoint` with its tokenizer and its pixels.

Their state dicts have the same keys as the variants' own.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from itr import pictures, vocabulary
from itr.checkpoint import Checkpoint
from itr.pairs import Pair
from itr.pieces import TOKENIZERS
from itr.regions import Regions
from itr.single_tower import SingleTowerModel
from itr.towers import BertText, Normalised, TextTower, fitting
from itr.two_tower import TwoTowerModel


class Words:
    """Texts → ids, cut at the tower's last usable position and padded to the longest."""

    def __init__(self, folder: Path, tower: TextTower) -> None:
        found = vocabulary.find(folder, tower)
        self.tokenizer = TOKENIZERS[found.settings["type"]].from_pretrained(str(folder), local_files_only=True)
        self.max_tokens = tower.max_tokens

    def __call__(self, texts: Sequence[str], device: torch.device) -> tuple[Tensor, Tensor]:
        """int64 [B,T] ids and mask."""
        found = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt"
        )
        return found["input_ids"].to(device), found["attention_mask"].to(device)


class ReadingTwoTower(TwoTowerModel):
    """A two-tower or CLIP model of texts and pictures."""

    def __init__(self, found: Checkpoint, words: Words) -> None:
        # Attention written out: the paper's code had no other, and the fused kernels draw dropout differently.
        super().__init__(found.variant, attention="eager")
        self.load_state_dict(found.state)
        self.words = words
        self.normalised = Normalised(found.variant.image.preprocessing)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        return self.text(*self.words(texts, self.classifier.weight.device))

    def encode_image(self, images: Sequence[Image.Image]) -> Tensor:
        settings = fitting(self.variant.image)
        batch = np.stack([pictures.fit(image, settings) for image in images])
        return self.image(self.normalised(torch.from_numpy(batch).to(self.classifier.weight.device)))


class ReadingSingleTower(SingleTowerModel):
    """VisualBERT or LXMERT over texts and the region features of their pictures."""

    def __init__(self, found: Checkpoint, words: Words, regions: Regions) -> None:
        super().__init__(found.variant, found.variant.build("eager").encoder)
        self.load_state_dict(found.state)
        self.words, self.regions = words, regions
        self.micro_batch = 2 if found.variant.name == "lxmert" else 8
        if found.variant.name == "visualbert":
            self.encode_text = self._text_alone  # LXMERT cannot

    def encode_pairs(self, pairs: Sequence[Pair]) -> tuple[Tensor, Tensor, Tensor]:
        """text, image, pair, [B, width] each."""
        device = self.classifier.weight.device
        rows = [self.regions.of(pair.id, pair.where) for pair in pairs]
        counts = {len(boxes) for _, boxes in rows}
        if len(counts) > 1:
            raise ValueError(
                f"{self.regions.path}: pictures of one batch have {sorted(counts)} boxes; they must be equal"
            )
        features, boxes = (torch.from_numpy(np.stack(parts)).to(device) for parts in zip(*rows, strict=True))
        return self.encode(*self.words([pair.text for pair in pairs], device), features, boxes)

    def _text_alone(self, texts: Sequence[str]) -> Tensor:
        ids, mask = self.words(texts, self.classifier.weight.device)
        states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask[..., None].to(states.dtype)
        return (states * weights).sum(1) / weights.sum(1)


def model(found: Checkpoint, tokenizer: Path, regions: Regions | None, device: torch.device) -> nn.Module:
    """A checkpoint's model that reads with the tokenizer files of a folder; ValueError names what does not fit."""
    if isinstance(getattr(found.variant, "text", None), TextTower):
        return ReadingTwoTower(found, Words(tokenizer, found.variant.text)).to(device)
    if regions is None:
        raise ValueError(f"{found.variant.name} looks at regions of pictures: name the file of their features")
    tower = BertText(vocabulary=found.variant.vocabulary, positions=found.variant.positions)
    return ReadingSingleTower(found, Words(tokenizer, tower), regions).to(device)
