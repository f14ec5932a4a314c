"""The four graphs of a pre-trained MiniLM and EfficientNet-Lite0: towers with their adapters inside."""

from torch import Tensor, einsum, nn

from itr import image_tower, quantise, text_tower
from itr.grad_cam import gelu_slope
from itr.graphs import HeadGraph, Parts
from itr.mini_towers import MAX_TOKENS, SIDE, Adapter, MiniTowers

CELLS = 7
FLOAT_LAYERS = quantise.FLOAT_LAYERS


class TextGraph(nn.Module):
    """input_ids, attention_mask int64 [B,T] → text [B,384]."""

    def __init__(self, model: MiniTowers) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.model.text(input_ids, attention_mask)


class ImageGraph(nn.Module):
    """pixels uint8 [B,224,224,3] → image [B,1280]."""

    def __init__(self, model: MiniTowers) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        return self.model.adapter_v(self.model.last_map(pixels).mean((2, 3)))


class ExplainGraph(nn.Module):
    """pixels, text → cam [B,4,7,7] ≥ 0: Grad-CAM at the last map, in logits a cell.

    The logits read that map through its mean, so the gradient is the same in every cell; the adapter between makes it
    depend on the picture, and it is written out here.
    """

    def __init__(self, model: MiniTowers) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor, text: Tensor) -> Tensor:
        del text
        last = self.model.last_map(pixels)
        adapter: Adapter = self.model.adapter_v
        weights = self.model.classifier.weight[:, text_tower.WIDTH :]  # [c,1280]
        slope = gelu_slope(adapter.down(last.mean((2, 3))))  # [b,narrow]
        gradient = weights + ((weights @ adapter.up.weight) * slope[:, None]) @ adapter.down.weight
        return einsum("bcd,bdhw->bchw", gradient, last).relu() / (last.shape[2] * last.shape[3])


def parts(model: MiniTowers) -> Parts:
    """The four graphs and their sizes, as export takes them of any model."""
    sizes = (text_tower.WIDTH, image_tower.WIDTH, len(model.encoder_t.lexical), MAX_TOKENS, SIDE)
    return Parts(*(graph(model).eval() for graph in (TextGraph, ImageGraph, HeadGraph, ExplainGraph)), *sizes)
