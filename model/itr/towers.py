"""The towers of published checkpoints: one dataclass each, sizes as fields, built with Hugging Face's classes.

Sizes that a state dict shows are read from it; what it cannot show (epsilons, activations, padding ids, heads of 64
dimensions) is what the published configurations say.
"""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
import transformers
from torch import Tensor, nn

HEAD_WIDTH = 64


@dataclass(frozen=True)
class BertText:
    """BERT: tanh(W·h[:,0]+b). Also the language side of VisualBERT's sizes."""

    kind: ClassVar[str] = "bert"
    vocabulary: int = 30522
    positions: int = 512
    types: int = 2
    width: int = 768
    layers: int = 12
    inner: int = 3072

    @property
    def max_tokens(self) -> int:
        return self.positions

    def build(self, attention: str) -> nn.Module:
        return transformers.BertModel(
            transformers.BertConfig(**_bert(self), layer_norm_eps=1e-12, attn_implementation=attention)
        )


@dataclass(frozen=True)
class RobertaText(BertText):
    """RoBERTa and BERTweet: positions count the tokens that are no padding, from 2 on."""

    kind: ClassVar[str] = "roberta"
    vocabulary: int = 50265
    positions: int = 514
    types: int = 1

    @property
    def max_tokens(self) -> int:
        return self.positions - 2

    def build(self, attention: str) -> nn.Module:
        config = transformers.RobertaConfig(
            **_bert(self),
            layer_norm_eps=1e-5,
            pad_token_id=1,
            bos_token_id=0,
            eos_token_id=2,
            attn_implementation=attention,
        )
        return transformers.RobertaModel(config)


@dataclass(frozen=True)
class ClipText:
    """CLIP's text transformer: causal; the state at the highest id, which is the end of text."""

    kind: ClassVar[str] = "clip_text"
    vocabulary: int = 49408
    positions: int = 77
    width: int = 512
    layers: int = 12
    inner: int = 2048

    @property
    def max_tokens(self) -> int:
        return self.positions

    def build(self, attention: str) -> nn.Module:
        config = transformers.CLIPTextConfig(
            vocab_size=self.vocabulary,
            max_position_embeddings=self.positions,
            **_clip(self),
            eos_token_id=2,  # Hugging Face's sign for "pool at the highest id", as transformers 4.24 always did
            attn_implementation=attention,
        )
        return transformers.CLIPTextModel(config)


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes the uint8 pixels [side, side, 3] of a tower, and what the tower makes of them."""

    resize: str
    fit: str
    shortest_edge: int | None  # with crop_centre
    mean: tuple[float, float, float]  # of values 0–1
    std: tuple[float, float, float]


@dataclass(frozen=True)
class VitImage:
    """ViT: tanh(W·LN(h)[:,0]+b)."""

    kind: ClassVar[str] = "vit"
    preprocessing: ClassVar[Preprocessing] = Preprocessing("bilinear", "squash", None, (0.5,) * 3, (0.5,) * 3)
    width: int = 768
    layers: int = 12
    inner: int = 3072
    patch: int = 16
    side: int = 224

    @property
    def cells(self) -> int:
        return self.side // self.patch

    def build(self, attention: str) -> nn.Module:
        config = transformers.ViTConfig(
            hidden_size=self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.width // HEAD_WIDTH,
            intermediate_size=self.inner,
            patch_size=self.patch,
            image_size=self.side,
            layer_norm_eps=1e-12,
            attn_implementation=attention,
        )
        return transformers.ViTModel(config)


@dataclass(frozen=True)
class ClipImage:
    """CLIP's vision transformer: LN(h[:,0])."""

    kind: ClassVar[str] = "clip_vision"
    preprocessing: ClassVar[Preprocessing] = Preprocessing(
        "bicubic",
        "crop_centre",
        224,
        (0.48145466, 0.4578275, 0.40821073),
        (0.26862954, 0.26130258, 0.27577711),
    )
    width: int = 768
    layers: int = 12
    inner: int = 3072
    patch: int = 32
    side: int = 224

    @property
    def cells(self) -> int:
        return self.side // self.patch

    def build(self, attention: str) -> nn.Module:
        config = transformers.CLIPVisionConfig(
            patch_size=self.patch, image_size=self.side, **_clip(self), attn_implementation=attention
        )
        return transformers.CLIPVisionModel(config)


@dataclass(frozen=True)
class ResNetImage:
    """ResNet with bottleneck blocks: the mean of the last map."""

    kind: ClassVar[str] = "resnet"
    preprocessing: ClassVar[Preprocessing] = Preprocessing(
        "bicubic", "crop_centre", 256, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    )
    stem: int = 64
    widths: tuple[int, ...] = (256, 512, 1024, 2048)
    depths: tuple[int, ...] = (3, 4, 23, 3)
    side: int = 224

    @property
    def width(self) -> int:
        return self.widths[-1]

    @property
    def cells(self) -> int:
        return self.side // 2 ** (1 + len(self.widths))

    def build(self, attention: str) -> nn.Module:
        del attention
        return transformers.ResNetModel(
            transformers.ResNetConfig(
                embedding_size=self.stem, hidden_sizes=list(self.widths), depths=list(self.depths)
            )
        )


TextTower = BertText | RobertaText | ClipText
ImageTower = VitImage | ClipImage | ResNetImage

_KINDS = {tower.kind: tower for tower in (BertText, RobertaText, ClipText, VitImage, ClipImage, ResNetImage)}


def describe(tower: TextTower | ImageTower) -> dict[str, Any]:
    """As plain values, for a file."""
    fields = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(tower).items()}
    return {"kind": tower.kind, **fields}


def parse(description: dict[str, Any]) -> TextTower | ImageTower:
    """The tower that describe gave these values for."""
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in description.items()}
    return _KINDS[fields.pop("kind")](**fields)


def fitting(tower: ImageTower) -> dict[str, str | int]:
    """How a picture becomes the tower's pixels, in a manifest's words."""
    how = tower.preprocessing
    found = {"height": tower.side, "width_pixels": tower.side, "resize": how.resize, "fit": how.fit}
    return found if how.shortest_edge is None else found | {"shortest_edge": how.shortest_edge}


class Normalised(nn.Module):
    """pixels uint8 [B,H,W,3] → float32 [B,3,H,W], as the tower was trained on."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(preprocessing.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        return (pixels.permute(0, 3, 1, 2).float() / 255.0 - self.mean) / self.std


def _bert(tower: BertText) -> dict[str, int]:
    return {
        "vocab_size": tower.vocabulary,
        "max_position_embeddings": tower.positions,
        "type_vocab_size": tower.types,
        "hidden_size": tower.width,
        "num_hidden_layers": tower.layers,
        "num_attention_heads": tower.width // HEAD_WIDTH,
        "intermediate_size": tower.inner,
    }


def _clip(tower: ClipText | ClipImage) -> dict[str, int | str | float]:
    return {
        "hidden_size": tower.width,
        "num_hidden_layers": tower.layers,
        "num_attention_heads": tower.width // HEAD_WIDTH,
        "intermediate_size": tower.inner,
        "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-5,
    }
