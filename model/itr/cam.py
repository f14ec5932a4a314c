"""Grad-CAM in closed form: one graph without autograd.

Both maps that the logits depend on are read through their means over cells (the last feature map's pooled mean; the
text-area cells' means), so the gradient is the same in every cell and the activation map is a weighted sum of
channels. The class of interest is taken against the other three (its logit less the mean of the four): "neither" has
the constant logit 0, and its map is where the picture speaks against the others.
"""

import torch
from torch import Tensor, nn

from itr import image_tower, text_tower
from itr.image_tower import Classifier
from itr.relation import CLASS_TEMPERATURE, FLOOR, Relation

SIDE = 14
# ∂(logit less mean logit)/∂(lt, lv) of each relation, from logits [0, lv, lt, lt + lv].
_AGAINST_OTHERS = ((-0.5, -0.5), (-0.5, 0.5), (0.5, -0.5), (0.5, 0.5))


class Cam(nn.Module):
    """text [B,·], image [B,·], last map [B,1280,7,7], text cells [B,6,14,14] → cam [B,4,14,14] ≥ 0, in units of
    logits a cell.
    """

    def __init__(self, relation: Relation, classifier: Classifier) -> None:
        super().__init__()
        self.relation, self.classifier = relation, classifier
        self.register_buffer("signs", torch.tensor(_AGAINST_OTHERS))

    def represented_gradient(self, text: Tensor, image: Tensor) -> Tensor:
        """∂lt/∂pooled [B,1280]."""
        agreement, factors = self.relation.agreement, self.relation.factors
        sentence = text[:, : text_tower.WIDTH]
        prototypes = agreement.prototypes()
        p, votes = agreement.classes(image), agreement.votes(sentence)
        shift = p @ prototypes - agreement.centre
        length = shift.norm(dim=-1, keepdim=True)
        unit = shift / length
        along = sentence - (sentence * unit).sum(-1, keepdim=True) * unit
        by_cosine = along @ prototypes.T / length  # ∂cosine/∂p
        by_posterior = votes / ((p * votes).sum(-1, keepdim=True) + FLOOR)  # ∂posterior/∂p
        weights = factors.represented_match.weight[0] * factors.match_scale
        by_class = weights[0] * by_cosine + weights[1] * by_posterior
        by_logit = p * (by_class - (p * by_class).sum(-1, keepdim=True)) / CLASS_TEMPERATURE  # softmax
        return self.classifier.back(by_logit)

    def adds_gradient(self, image: Tensor) -> Tensor:
        """∂lv/∂(area features) [B,6]."""
        factors = self.relation.factors
        area = (image[:, image_tower.WIDTH + image_tower.CLASSES :] - factors.area_mean) * factors.area_scale
        slope = 1.0 - factors.adds_area_hidden(area).tanh().square()
        return ((slope * factors.adds_area.weight[0]) @ factors.adds_area_hidden.weight) * factors.area_scale

    def forward(self, text: Tensor, image: Tensor, last: Tensor, cells: Tensor) -> Tensor:
        represented = torch.einsum("bc,bchw->bhw", self.represented_gradient(text, image), last) / 49.0
        # Each of the 49 cells becomes four that share its value, so that both maps sum to logits.
        represented = represented.repeat_interleave(2, 1).repeat_interleave(2, 2) / 4.0
        adds = torch.einsum("bc,bchw->bhw", self.adds_gradient(image), cells) / float(SIDE * SIDE)
        both = torch.stack([represented, adds], 1)  # [B,2,14,14]
        return torch.einsum("kf,bfhw->bkhw", self.signs, both).relu()
