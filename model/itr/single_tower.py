"""The single-tower family: VisualBERT and LXMERT over a text and the features of its picture's regions, offline."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import transformers
from torch import Tensor, nn

from itr.towers import HEAD_WIDTH

REGION_FEATURES = 2048
BOX = 4


class Encoded(NamedTuple):
    """Text, image and pair vectors, [B, width] each."""

    text: Tensor
    image: Tensor
    joint: Tensor


@dataclass(frozen=True)
class VisualBert:
    """VisualBERT; the joint vector is its pooler's output, text and image are means over tokens and over boxes."""

    family: ClassVar[str] = "single-tower"
    name: ClassVar[str] = "visualbert"
    vocabulary: int = 30522
    positions: int = 512
    types: int = 2
    width: int = 768
    layers: int = 12
    inner: int = 3072
    features: int = REGION_FEATURES
    classes: int = 4
    projection: int = 512

    def build(self, attention: str = "eager") -> "SingleTowerModel":
        del attention  # Hugging Face's VisualBERT has one implementation
        config = transformers.VisualBertConfig(
            vocab_size=self.vocabulary,
            max_position_embeddings=self.positions,
            type_vocab_size=self.types,
            hidden_size=self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.width // HEAD_WIDTH,
            intermediate_size=self.inner,
            visual_embedding_dim=self.features,
            layer_norm_eps=1e-12,
            attn_implementation="eager",
        )
        return SingleTowerModel(self, transformers.VisualBertModel(config))

    def encode(self, encoder: nn.Module, ids: Tensor, mask: Tensor, features: Tensor, boxes: Tensor) -> Encoded:
        del boxes  # VisualBERT does not look at where a region lies
        found = encoder(input_ids=ids, attention_mask=mask, visual_embeds=features)
        states = found.last_hidden_state
        length = ids.shape[1]
        return Encoded(_masked_mean(states[:, :length], mask), states[:, length:].mean(1), found.pooler_output)


@dataclass(frozen=True)
class Lxmert:
    """LXMERT; text and image are the means of its two output sequences."""

    family: ClassVar[str] = "single-tower"
    name: ClassVar[str] = "lxmert"
    vocabulary: int = 30522
    positions: int = 512
    types: int = 2
    width: int = 768
    text_layers: int = 9
    image_layers: int = 5
    cross_layers: int = 5
    inner: int = 3072
    features: int = REGION_FEATURES
    classes: int = 4
    projection: int = 512

    def build(self, attention: str = "eager") -> "SingleTowerModel":
        del attention  # Hugging Face's LXMERT has one implementation
        config = transformers.LxmertConfig(
            vocab_size=self.vocabulary,
            max_position_embeddings=self.positions,
            type_vocab_size=self.types,
            hidden_size=self.width,
            num_attention_heads=self.width // HEAD_WIDTH,
            intermediate_size=self.inner,
            l_layers=self.text_layers,
            r_layers=self.image_layers,
            x_layers=self.cross_layers,
            visual_feat_dim=self.features,
            visual_pos_dim=BOX,
        )
        return SingleTowerModel(self, transformers.LxmertModel(config))

    def encode(self, encoder: nn.Module, ids: Tensor, mask: Tensor, features: Tensor, boxes: Tensor) -> Encoded:
        found = encoder(input_ids=ids, attention_mask=mask, visual_feats=features, visual_pos=boxes)
        return Encoded(_masked_mean(found.language_output, mask), found.vision_output.mean(1), found.pooled_output)


class SingleTowerModel(nn.Module):
    """Modules carry the names of the published state dict, in its order."""

    def __init__(self, variant: VisualBert | Lxmert, encoder: nn.Module) -> None:
        super().__init__()
        self.variant = variant
        width, k = variant.width, variant.classes
        self.encoder = encoder
        self.head1 = nn.Linear(width, k)
        self.head2 = nn.Linear(width, k)
        self.head3 = nn.Linear(width, k)
        self.proj_t = nn.Linear(width, variant.projection, bias=False)
        self.proj_v = nn.Linear(width, variant.projection, bias=False)
        self.classifier = nn.Linear(width, k)

    def encode(self, input_ids: Tensor, attention_mask: Tensor, features: Tensor, boxes: Tensor) -> Encoded:
        """int64 [B,T] twice, region features [B,R,features], boxes [B,R,4] as shares of the picture → vectors."""
        return self.variant.encode(self.encoder, input_ids, attention_mask, features, boxes)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, features: Tensor, boxes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """logits [B, classes], similarity [B]."""
        text, image, joint = self.encode(input_ids, attention_mask, features, boxes)
        similarity = torch.cosine_similarity(self.proj_t(text), self.proj_v(image), dim=-1)
        return self.classifier(joint), similarity


def _masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    weights = mask[..., None].to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)
