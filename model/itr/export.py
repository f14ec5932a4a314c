"""The four graphs of a bundle as modules of named inputs and outputs, and their way into ONNX files."""

from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from itr.cam import Cam
from itr.image_tower import ImageTower
from itr.relation import Relation
from itr.text_area import TextArea
from itr.text_tower import TextTower

OPSET = 18


class ImageGraph(nn.Module):
    """pixels uint8 [B,224,224,3] → image [B,2286]: [pooled 1280 | class logits 1000 | text area 6]."""

    def __init__(self, tower: ImageTower, area: TextArea) -> None:
        super().__init__()
        self.tower, self.area = tower, area

    def maps(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """image vector, last map [B,1280,7,7], text cells [B,6,14,14]."""
        stride_8, stride_16, last = self.tower(pixels)
        cells = self.area.cells(self.area(stride_8, stride_16))
        pooled = last.mean((2, 3))
        return torch.cat([pooled, self.tower.classifier(pooled), cells.mean((2, 3))], -1), last, cells

    def forward(self, pixels: Tensor) -> Tensor:
        return self.maps(pixels)[0]


class ExplainGraph(nn.Module):
    """pixels uint8 [B,224,224,3], text [B,·] → cam [B,4,14,14]."""

    def __init__(self, image: ImageGraph, cam: Cam) -> None:
        super().__init__()
        self.image, self.cam = image, cam

    def forward(self, pixels: Tensor, text: Tensor) -> Tensor:
        return self.cam(text, *self.image.maps(pixels))


def text(tower: TextTower, path: Path) -> None:
    ids = torch.tensor([[101, 7592, 2088, 102], [101, 102, 0, 0]])
    _export(
        tower,
        (ids, (ids > 0).long()),
        path,
        {"input_ids": {0: "batch", 1: "tokens"}, "attention_mask": {0: "batch", 1: "tokens"}},
        ["text"],
    )


def image(graph: ImageGraph, path: Path) -> None:
    _export(graph, (_pixels(),), path, {"pixels": {0: "batch"}}, ["image"])


def head(relation: Relation, text_width: int, image_width: int, path: Path) -> None:
    inputs = (torch.randn(2, text_width), torch.randn(2, image_width))
    _export(
        relation, inputs, path, {"text": {0: "batch"}, "image": {0: "batch"}}, ["logits", "similarity", "embedding"]
    )


def explain(graph: ExplainGraph, text_width: int, path: Path) -> None:
    _export(
        graph, (_pixels(), torch.randn(2, text_width)), path, {"pixels": {0: "batch"}, "text": {0: "batch"}}, ["cam"]
    )


def _pixels() -> Tensor:
    return torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8)


def _export(
    module: nn.Module, inputs: tuple[Tensor, ...], path: Path, axes: dict[str, dict[int, str]], outputs: list[str]
) -> None:
    module.eval()  # exporters have left batch norms in training mode before
    batch = torch.export.Dim("batch", min=1, max=4096)
    named = {"batch": batch, "tokens": torch.export.Dim("tokens", min=2, max=128)}
    shapes = tuple({axis: named[name] for axis, name in of.items()} for of in axes.values())
    program = torch.onnx.export(
        module,
        inputs,
        input_names=list(axes),
        output_names=outputs,
        dynamic_shapes=shapes,
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    module.eval()
    model = program.model_proto
    del model.graph.value_info[:]
    model.metadata_props.clear()
    for node in model.graph.node:  # stack traces of the machine that exported
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
