"""The two-tower family: one forward for BERT, RoBERTa, BERTweet or CLIP texts beside ViT, ResNet or CLIP images."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from itr.towers import BertText, ImageTower, TextTower, VitImage

POOLINGS = ("pooler", "cls", "mean")


@dataclass(frozen=True)
class TwoTower:
    """A two-tower or CLIP variant. The poolings cls and mean occur in legacy checkpoints only."""

    family: ClassVar[str] = "two-tower"
    text: TextTower = BertText()
    image: ImageTower = VitImage()
    classes: int = 4
    projection: int = 512
    pool_text: str = "pooler"
    pool_image: str = "pooler"

    @property
    def name(self) -> str:
        if self.text.kind == "clip_text":
            return f"clip-vit-patch{self.image.patch}"
        text = {30522: "bert", 64001: "bertweet", 50265: "roberta"}.get(self.text.vocabulary, self.text.kind)
        image = f"vit-patch{self.image.patch}" if self.image.kind == "vit" else "resnet"
        if self.image.kind == "resnet":
            image += str(3 * sum(self.image.depths) + 2)
        return f"{text}+{image}"

    def build(self, attention: str = "sdpa") -> "TwoTowerModel":
        return TwoTowerModel(self, attention)


class Related(NamedTuple):
    """What the head makes of B pairs."""

    logits: Tensor  # [B, classes]
    similarity: Tensor  # [B]: cosine of the projections
    joint: Tensor  # [B, ht+hv]: [text; image], as the classifier and the clustering see it


class TwoTowerModel(nn.Module):
    """Modules carry the names of the published state dict, in its order; only the ViT's inner ones are newer."""

    def __init__(self, variant: TwoTower, attention: str = "sdpa") -> None:
        super().__init__()
        self.variant = variant
        ht, hv, k = variant.text.width, variant.image.width, variant.classes
        self.encoder_t = variant.text.build(attention)
        self.encoder_v = variant.image.build(attention)
        self.head1 = nn.Linear(ht + hv, k)
        self.head2 = nn.Linear(ht + hv, k)
        self.head3 = nn.Linear(ht + hv, k)
        self.proj_t = nn.Linear(ht, variant.projection, bias=False)
        self.proj_v = nn.Linear(hv, variant.projection, bias=False)
        self.classifier = nn.Linear(ht + hv, k)

    def text(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """int64 [B,T] twice → [B, ht]."""
        found = self.encoder_t(input_ids=input_ids, attention_mask=attention_mask)
        if self.variant.pool_text == "pooler":
            return found.pooler_output
        if self.variant.pool_text == "cls":
            return found.last_hidden_state[:, 0]
        # Padding stays out of the mean: a text's vector must not depend on its batch-mates.
        mask = attention_mask[..., None].to(found.last_hidden_state.dtype)
        return (found.last_hidden_state * mask).sum(1) / mask.sum(1)

    def image(self, pixel_values: Tensor) -> Tensor:
        """Normalised float [B,3,H,W] → [B, hv]."""
        found = self.encoder_v(pixel_values=pixel_values)
        if self.variant.pool_image == "pooler":
            return found.pooler_output.flatten(1)
        states = found.last_hidden_state
        return states[:, 0] if self.variant.pool_image == "cls" else states.mean(1)

    def relate(self, text: Tensor, image: Tensor) -> Related:
        """[B,ht], [B,hv] → logits, similarity, joint."""
        joint = torch.cat([text, image], -1)
        similarity = functional.cosine_similarity(self.proj_t(text), self.proj_v(image), dim=-1)
        return Related(self.classifier(joint), similarity, joint)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, pixel_values: Tensor) -> Related:
        return self.relate(self.text(input_ids, attention_mask), self.image(pixel_values))
