"""The four graphs of a two-tower bundle: modules with the bundle's inputs and outputs, and their way to ONNX files."""

import logging
from copy import deepcopy
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from itr import grad_cam
from itr.towers import Normalised
from itr.two_tower import TwoTowerModel

OPSET = 18


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

    def __init__(self, model: TwoTowerModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, text: Tensor, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        found = self.model.relate(text, image)
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


def export(model: TwoTowerModel, out: Path, half: bool) -> None:
    """Writes text.onnx, image.onnx, head.onnx and explain.onnx; batch and tokens are dynamic, outputs float32.

    With half the towers compute in float16; the head, the activation map, and what goes in and out do not.
    """
    variant = model.variant
    tokens = torch.export.Dim("tokens", min=2, max=variant.text.max_tokens)
    batch = torch.export.Dim("batch", min=1, max=4096)
    ids = torch.full((2, 5), 5)
    pixels = torch.zeros(2, variant.image.side, variant.image.side, 3, dtype=torch.uint8)
    text, image = torch.ones(2, variant.text.width), torch.ones(2, variant.image.width)
    row, tokenised = {0: batch}, {0: batch, 1: tokens}
    ids_and_mask = {"input_ids": tokenised, "attention_mask": tokenised}
    towers, explain = model, ExplainGraph(model)
    if half:
        towers, explain = deepcopy(model).half(), deepcopy(explain)
        explain.halve()
    _save(TextGraph(towers), (ids, torch.ones_like(ids)), out / "text.onnx", ids_and_mask, ["text"])
    _save(ImageGraph(towers), (pixels,), out / "image.onnx", {"pixels": row}, ["image"])
    _save(
        HeadGraph(model),
        (text, image),
        out / "head.onnx",
        {"text": row, "image": row},
        ["logits", "similarity", "embedding"],
    )
    _save(explain, (pixels, text), out / "explain.onnx", {"pixels": row, "text": row}, ["cam"])


def _save(
    module: nn.Module, inputs: tuple[Tensor, ...], path: Path, axes: dict[str, dict[int, object]], outputs: list[str]
) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it lists the packages that it does not need
    program = torch.onnx.export(
        module.eval(),
        inputs,
        input_names=list(axes),
        output_names=outputs,
        dynamic_shapes=tuple(axes.values()),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    model = program.model_proto
    del model.graph.value_info[:]
    model.metadata_props.clear()
    for node in model.graph.node:  # stack traces of the machine that exported
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
