"""The four graphs of itr-mini as modules of named inputs and outputs."""

from pathlib import Path

import torch
from torch import Tensor, nn

from itr import onnx_file
from itr.cam import Cam
from itr.image_tower import ImageTower
from itr.relation import Relation
from itr.text_area import TextArea
from itr.text_tower import TextTower


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
    """text.onnx: input_ids, attention_mask int64 [batch,tokens] → text."""
    ids, axes = torch.tensor([[101, 7592, 2088, 102], [101, 102, 0, 0]]), ("batch", "tokens")
    inputs = {"input_ids": (ids, axes), "attention_mask": ((ids > 0).long(), axes)}
    onnx_file.save(tower, path, inputs, ["text"], tower.positions.shape[0])


def image(graph: ImageGraph, path: Path) -> None:
    """image.onnx: pixels uint8 [batch,224,224,3] → image."""
    onnx_file.save(graph, path, {"pixels": (_pixels(), ("batch",))}, ["image"])


def head(relation: Relation, text_width: int, image_width: int, path: Path) -> None:
    """head.onnx: text, image → logits [batch,4], similarity, embedding."""
    inputs = {
        name: (torch.randn(2, width), ("batch",)) for name, width in (("text", text_width), ("image", image_width))
    }
    onnx_file.save(relation, path, inputs, ["logits", "similarity", "embedding"])


def explain(graph: ExplainGraph, text_width: int, path: Path) -> None:
    """explain.onnx: pixels, text → cam [batch,4,14,14]."""
    inputs = {"pixels": (_pixels(), ("batch",)), "text": (torch.randn(2, text_width), ("batch",))}
    onnx_file.save(graph, path, inputs, ["cam"])


def _pixels() -> Tensor:
    return torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8)
