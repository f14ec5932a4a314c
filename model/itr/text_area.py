"""Where a picture carries words: a few convolutions on two maps of the image tower, trained on rendered masks."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from itr.image_tower import CHANNELS_8, CHANNELS_16, ImageTower

# Each feature is the mean over the cells of one function of the cell's probability p, so that a feature's share of
# every cell is known and the activation map has a closed form: how much text, how much of it certain, where it
# stands.
FEATURES = ("some", "certain", "very certain", "upper third", "middle third", "lower third")


class TextArea(nn.Module):
    """stride 8 [B,40,28,28], stride 16 [B,112,14,14] → probability of words [B,14,14]."""

    def __init__(self) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(CHANNELS_8 + CHANNELS_16, 24, 1)
        self.mix = nn.Conv2d(24, 24, 3, padding=1)
        self.score = nn.Conv2d(24, 1, 1)
        bands = torch.zeros(3, 14)
        bands[0, :5], bands[1, 5:9], bands[2, 9:] = 1.0, 1.0, 1.0
        self.register_buffer("bands", bands[:, :, None])  # [3,14,1]

    def logits(self, stride_8: Tensor, stride_16: Tensor) -> Tensor:
        x = torch.cat([F.avg_pool2d(stride_8, 2), stride_16], 1)
        return self.score(F.relu(self.mix(F.relu(self.reduce(x)))))[:, 0]

    def forward(self, stride_8: Tensor, stride_16: Tensor) -> Tensor:
        return self.logits(stride_8, stride_16).sigmoid()

    def cells(self, p: Tensor) -> Tensor:
        """[B,14,14] → [B,6,14,14], whose means over cells are FEATURES."""
        sure = (p * 12.0 - 6.0).sigmoid()  # a soft count of cells above one half
        return torch.cat([torch.stack([p, sure, sure * p * p], 1), sure[:, None] * self.bands], 1)


@dataclass(frozen=True)
class AreaConfig:
    seed: int
    steps: int = 900
    batch: int = 32
    learning_rate: float = 3e-3


def maps(tower: ImageTower, pixels: Tensor, batch: int = 32) -> tuple[Tensor, Tensor]:
    """The two maps of many pictures: uint8 [N,224,224,3] → [N,40,28,28], [N,112,14,14] in half precision."""
    with torch.no_grad():
        parts = [tower(part)[:2] for part in pixels.split(batch)]
    return torch.cat([part[0].half() for part in parts]), torch.cat([part[1].half() for part in parts])


def train(stride_8: Tensor, stride_16: Tensor, cells: Tensor, config: AreaConfig) -> TextArea:
    """cells: [N,14,14] share of each cell covered by words. A cell is text when words cover a tenth of it."""
    torch.manual_seed(config.seed)
    head = TextArea()
    target = (cells > 0.1).float()
    optimizer = torch.optim.AdamW(head.parameters(), lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, config.steps)
    order = torch.Generator().manual_seed(config.seed)
    for _ in range(config.steps):
        rows = torch.randint(len(cells), (config.batch,), generator=order)
        scores = head.logits(stride_8[rows].float(), stride_16[rows].float())
        F.binary_cross_entropy_with_logits(scores, target[rows]).backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return head.eval()
