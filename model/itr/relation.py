"""The relation head: how much a text and a picture agree, whether the picture adds, and the four relations out of both.

Image vector (see export.ImageGraph): [pooled 1280 | class logits 1000 | text area 6]. Text vector: [sentence 384 |
style 384 | lexical].

Agreement has two halves, both free of trained matching:
  cosine     sentence · image projection, the projection being the class-weighted mean of prototypes less their usual
             mean: without that centre every picture is near every generic text (hubness). Captioned photographs,
             matched against mismatched, fp32: AUROC .85 → .92.
  posterior  log Σ_c p(c|picture) q(c|text) / π(c): text and picture both vote for classes, and a class counts for less
             the commoner it is.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from itr import image_tower, text_area, text_tower
from itr.lexicon import FEATURES as LEXICAL

IMAGE_WIDTH = image_tower.WIDTH + image_tower.CLASSES + len(text_area.FEATURES)
TEXT_WIDTH = 2 * text_tower.WIDTH + len(LEXICAL)
EMBEDDING = 2 * text_tower.WIDTH
AREA = slice(image_tower.WIDTH + image_tower.CLASSES, None)
CLASS_TEMPERATURE = 1.5  # of the picture's class logits
VOTE_TEMPERATURE = 0.06  # of the text's cosines with the prototypes
FLOOR = 0.1  # no agreement is worse than a tenth of chance


class Agreement(nn.Module):
    """Text and image vectors → cosine [B], posterior [B], image projection [B,384]. Constants only."""

    def __init__(self, prototypes: Tensor, usual: Tensor) -> None:
        """prototypes: [1000,384] unit rows. usual: [1000] how often pictures are of each class, summing to 1."""
        super().__init__()
        # A quarter of the bytes; the graph's loader turns them into floats once.
        self.register_buffer("scales", prototypes.abs().amax(1, keepdim=True) / 127.0)
        self.register_buffer("rows", (prototypes / self.scales).round().to(torch.int8))
        self.register_buffer("rarity", 1.0 / usual)
        self.register_buffer("centre", usual @ self.prototypes())

    def prototypes(self) -> Tensor:
        """[1000,384]."""
        return self.rows.float() * self.scales

    def classes(self, image: Tensor) -> Tensor:
        """p(c|picture) [B,1000]."""
        logits = image[:, image_tower.WIDTH : image_tower.WIDTH + image_tower.CLASSES]
        return (logits / CLASS_TEMPERATURE).softmax(-1)

    def votes(self, sentence: Tensor) -> Tensor:
        """q(c|text) / π(c) [B,1000]."""
        return (sentence @ self.prototypes().T / VOTE_TEMPERATURE).softmax(-1) * self.rarity

    def forward(self, sentence: Tensor, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        p = self.classes(image)
        projection = F.normalize(p @ self.prototypes() - self.centre, dim=-1)
        posterior = ((p * self.votes(sentence)).sum(-1) + FLOOR).log()
        return (sentence * projection).sum(-1), posterior, projection


class Factors(nn.Module):
    """cosine, posterior, style, lexical, area → lt [B], lv [B]: log-odds of text_is_represented and image_adds.

    lt hears of the text only through its word kinds: how posts are worded says a lot about t in any one collection, and
    something else in the next. lv hears how the text speaks, in most pictures all there is to hear.
    """

    def __init__(self) -> None:
        super().__init__()
        lexical, areas = len(LEXICAL), len(text_area.FEATURES)
        for name, width in (("match", 2), ("style", text_tower.WIDTH), ("lexical", lexical), ("area", areas)):
            self.register_buffer(f"{name}_mean", torch.zeros(width))
            self.register_buffer(f"{name}_scale", torch.ones(width))
        self.represented_match = nn.Linear(2, 1)
        self.represented_lexical = nn.Linear(lexical, 1, bias=False)
        self.adds_lexical = nn.Linear(lexical, 1, bias=False)
        self.adds_style = nn.Linear(text_tower.WIDTH, 1, bias=False)
        self.adds_area_hidden = nn.Linear(areas, 8)
        self.adds_area = nn.Linear(8, 1)

    def forward(
        self, cosine: Tensor, posterior: Tensor, style: Tensor, lexical: Tensor, area: Tensor
    ) -> tuple[Tensor, Tensor]:
        match = (torch.stack([cosine, posterior], -1) - self.match_mean) * self.match_scale
        words = ((lexical - self.lexical_mean) * self.lexical_scale).clamp(-4.0, 4.0)
        manner = ((style - self.style_mean) * self.style_scale).clamp(-4.0, 4.0)
        cells = (area - self.area_mean) * self.area_scale
        lt = self.represented_match(match) + self.represented_lexical(words)
        lv = self.adds_lexical(words) + self.adds_style(manner) + self.adds_area(self.adds_area_hidden(cells).tanh())
        return lt[:, 0], lv[:, 0]


class Relation(nn.Module):
    """text [B,TEXT_WIDTH], image [B,IMAGE_WIDTH] → logits [B,4], similarity [B], embedding [B,768] (unit length)."""

    def __init__(self, agreement: Agreement, factors: Factors) -> None:
        super().__init__()
        self.agreement, self.factors = agreement, factors

    def parts(self, text: Tensor, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        sentence = text[:, text_tower.SENTENCE]
        cosine, posterior, projection = self.agreement(sentence, image)
        style, lexical = text[:, text_tower.STYLE], text[:, text_tower.LEXICAL]
        lt, lv = self.factors(cosine, posterior, style, lexical, image[:, AREA])
        return lt, lv, cosine, sentence, projection

    def forward(self, text: Tensor, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        lt, lv, cosine, sentence, projection = self.parts(text, image)
        logits = torch.stack([torch.zeros_like(lt), lv, lt, lt + lv], -1)
        return logits, cosine.clamp(-1.0, 1.0), F.normalize(torch.cat([sentence, projection], -1), dim=-1)


def logits(relation: Relation, text: np.ndarray, image: np.ndarray) -> np.ndarray:
    """[N,4] without gradients, from arrays."""
    with torch.no_grad():
        return relation(torch.tensor(text), torch.tensor(image))[0].numpy()
