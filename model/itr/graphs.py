"""The four graphs of a trained model's bundle, as modules with the bundle's inputs and outputs, and their ONNX files.

Here are those of the published two-tower variants; `mini_graphs` has those of MiniLM and EfficientNet-Lite0.
"""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from itr import grad_cam, onnx_file
from itr.towers import Normalised
from itr.two_tower import Related, TwoTowerModel


@dataclass(frozen=True)
class Parts:
    """The modules of the four graphs, and the sizes of what goes in and between."""

    text: nn.Module  # input_ids, attention_mask int64 [B,T] → text [B,text_width]
    image: nn.Module  # pixels uint8 [B,side,side,3] → image [B,image_width]
    head: nn.Module  # text, image → logits [B,4], similarity [B], embedding [B,·]
    explain: nn.Module  # pixels, text → cam [B,4,h,w]
    text_width: int
    image_width: int
    vocabulary: int  # token ids
    max_tokens: int
    side: int

    def write(self, out: Path) -> None:
        """Writes text.onnx, image.onnx, head.onnx and explain.onnx; batch and tokens are dynamic, outputs float32."""
        ids = torch.full((2, 5), 5)
        tokens = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        pixels = {"pixels": torch.zeros(2, self.side, self.side, 3, dtype=torch.uint8)}
        text, image = {"text": torch.ones(2, self.text_width)}, {"image": torch.ones(2, self.image_width)}
        for name, module, inputs, outputs in (
            ("text", self.text, tokens, ["text"]),
            ("image", self.image, pixels, ["image"]),
            ("head", self.head, text | image, ["logits", "similarity", "embedding"]),
            ("explain", self.explain, pixels | text, ["cam"]),
        ):
            axes = ("batch", "tokens") if name == "text" else ("batch",)
            named = {key: (example, axes) for key, example in inputs.items()}
            onnx_file.save(module, out / f"{name}.onnx", named, outputs, self.max_tokens)


class TextGraph(nn.Module):
    """input_ids, attention_mask int64 [B,T] → text [B,ht]."""

    def __init__(self, model: TwoTowerModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.model.text(input_ids, attention_mask).float()


class ImageGraph(nn.Module):
    """pixels uint8 [B,H,W,3] → image [B,hv]."""

    def __init__(self, model: TwoTowerModel) -> None:
        super().__init__()
        self.normalised = Normalised(model.variant.image.preprocessing)
        self.model, self.dtype = model, model.classifier.weight.dtype

    def forward(self, pixels: Tensor) -> Tensor:
        return self.model.image(self.normalised(pixels).to(self.dtype)).float()


class HeadGraph(nn.Module):
    """text, image → logits [B,4], similarity [B], embedding [B,ht+hv] of length 1."""

    def __init__(self, model: nn.Module) -> None:
        """model: what has `relate`, as TwoTowerModel does."""
        super().__init__()
        self.model = model

    def forward(self, text: Tensor, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        found: Related = self.model.relate(text, image)
        return found.logits, found.similarity, functional.normalize(found.joint, dim=-1)


class ExplainGraph(nn.Module):
    """pixels uint8 [B,H,W,3], text [B,ht] → cam [B,4,h,w].

    The classifier is linear in [text; image], so that no map depends on the text; the bundle's contract hands it in.
    """

    def __init__(self, model: TwoTowerModel) -> None:
        super().__init__()
        self.normalised = Normalised(model.variant.image.preprocessing)
        self.maps, self.dtype = grad_cam.maps(model), torch.float32

    def halve(self) -> None:
        """The tower in float16, what is differentiated in float32."""
        self.maps.halve()
        self.dtype = torch.float16

    def forward(self, pixels: Tensor, text: Tensor) -> Tensor:
        del text
        return self.maps(self.normalised(pixels).to(self.dtype))


def parts(model: TwoTowerModel, half: bool = False) -> Parts:
    """Of a published variant. With half the towers compute in float16, for accelerators; the head, the activation map,
    and what goes in and out do not.
    """
    variant = model.variant
    towers, explain = model, ExplainGraph(model)
    if half:
        towers, explain = deepcopy(model).half(), deepcopy(explain)
        explain.halve()
    text, image = variant.text, variant.image
    sizes = (text.width, image.width, text.vocabulary, text.max_tokens, image.side)
    return Parts(TextGraph(towers).eval(), ImageGraph(towers).eval(), HeadGraph(model).eval(), explain.eval(), *sizes)
