"""EfficientNet-Lite0, written out: the forward gives the three maps that the heads read."""

from pathlib import Path

import torch
from torch import Tensor, nn

# (repeats, kernel, stride, expansion, channels in, channels out) of each stage.
STAGES = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
STRIDE_8, STRIDE_16 = 4, 10  # index of the last block at these strides
CHANNELS_8, CHANNELS_16, WIDTH, CLASSES = 40, 112, 1280, 1000


# Some depthwise channels are dead: weights of 1e-20 under a real bias. An int8 scale made from such weights is too
# small for the bias to be an int32 of it, so one tap is raised to a value that moves the channel by less than 1e-3.
_LEAST_TAP = 1e-4


class Same(nn.Module):
    """Convolution with TensorFlow's SAME padding at a fixed input size, its batch norm folded in, and ReLU6 unless
    linear.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, linear: bool = False
    ) -> None:
        super().__init__()
        # At even sizes SAME pads stride-2 convolutions one pixel more below and right than above and left.
        total = max(kernel - stride, 0)
        self.pad = nn.ZeroPad2d((total // 2, total - total // 2) * 2) if total else nn.Identity()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups)
        self.act = nn.Identity() if linear else nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.conv(self.pad(x)))


class Block(nn.Module):
    """Inverted residual without squeeze-and-excitation."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand = Same(inputs, inner, 1) if expansion != 1 else nn.Identity()
        self.depthwise = Same(inner, inner, kernel, stride, groups=inner)
        self.project = Same(inner, outputs, 1, linear=True)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class Classifier(nn.Module):
    """A linear layer whose int8 weights serve both directions: forward, and back to the pooled map for the activation
    map.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(CLASSES, WIDTH, dtype=torch.int8))
        self.register_buffer("scales", torch.ones(CLASSES))
        self.bias = nn.Parameter(torch.zeros(CLASSES))

    def set(self, weight: Tensor, bias: Tensor) -> None:
        self.scales.copy_(weight.abs().amax(1) / 127.0)
        self.rows.copy_((weight / self.scales[:, None]).round().to(torch.int8))
        self.bias.data.copy_(bias)

    def forward(self, pooled: Tensor) -> Tensor:
        return pooled @ self.rows.float().T * self.scales + self.bias

    def back(self, by_class: Tensor) -> Tensor:
        """∂/∂classes [B,1000] → ∂/∂pooled [B,1280]."""
        return (by_class * self.scales) @ self.rows.float()


class ImageTower(nn.Module):
    """pixels uint8 [B,224,224,3] → (stride 8 [B,40,28,28], stride 16 [B,112,14,14], last [B,1280,7,7])."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Same(3, 32, 3, 2)
        self.blocks = nn.ModuleList(
            Block(inputs if i == 0 else outputs, outputs, kernel, stride if i == 0 else 1, expansion)
            for repeats, kernel, stride, expansion, inputs, outputs in STAGES
            for i in range(repeats)
        )
        self.head = Same(320, WIDTH, 1)
        self.classifier = Classifier()

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.stem((pixels.permute(0, 3, 1, 2).float() - 127.0) / 128.0)
        maps = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in (STRIDE_8, STRIDE_16):
                maps.append(x)
        return maps[0], maps[1], self.head(x)


def load(weights: Path) -> ImageTower:
    """Builds the tower from the published .pth; KeyError names a missing tensor."""
    state = torch.load(weights, map_location="cpu", weights_only=True)
    tower = ImageTower()
    _copy(tower.stem, state, "_conv_stem", "_bn0")
    for i, block in enumerate(tower.blocks):
        at = f"_blocks.{i}."
        if isinstance(block.expand, Same):
            _copy(block.expand, state, at + "_expand_conv", at + "_bn0")
        _copy(block.depthwise, state, at + "_depthwise_conv", at + "_bn1")
        _copy(block.project, state, at + "_project_conv", at + "_bn2")
    _copy(tower.head, state, "_conv_head", "_bn1")
    tower.classifier.set(state["_fc.weight"], state["_fc.bias"])
    return tower.eval()


def _copy(module: Same, state: dict[str, Tensor], conv: str, norm: str) -> None:
    gain = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + 1e-3).sqrt()
    weight = state[f"{conv}.weight"] * gain[:, None, None, None]
    dead = weight.abs().amax((1, 2, 3)) < _LEAST_TAP
    weight[dead, 0, 0, 0] = _LEAST_TAP
    module.conv.weight.data.copy_(weight)
    module.conv.bias.data.copy_(state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * gain)
