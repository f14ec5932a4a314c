"""The relation head: how much a text and a picture agree, whether the picture adds, and the four relations out of both.

Image vector (see export.ImageGraph): [pooled 1280 | class logits 1000 | text area 6]. Text vector: [sentence 384 |
lexical].

Agreement has two halves, both free of trained matching:
  cosine     sentence · image projection, the projection being the class-weighted mean of prototypes less their usual
             mean: without that centre every picture is near every generic text (hubness). Captioned photographs,
             matched against mismatched, fp32: AUROC .85 → .92.
  posterior  log Σ_c p(c|picture) q(c|text) / π(c): text and picture both vote for classes, and a class counts for less
             the commoner it is.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from itr import image_tower, text_area, text_tower
from itr.lexicon import FEATURES as LEXICAL

IMAGE_WIDTH = image_tower.WIDTH + image_tower.CLASSES + len(text_area.FEATURES)
TEXT_WIDTH = text_tower.WIDTH + len(LEXICAL)
EMBEDDING = 2 * text_tower.WIDTH
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
    """cosine, posterior, sentence, lexical, area → lt [B], lv [B]: log-odds of text_is_represented and image_adds."""

    def __init__(self) -> None:
        super().__init__()
        lexical, areas = len(LEXICAL), len(text_area.FEATURES)
        for name, width in (("match", 2), ("lexical", lexical), ("area", areas)):
            self.register_buffer(f"{name}_mean", torch.zeros(width))
            self.register_buffer(f"{name}_scale", torch.ones(width))
        self.represented_match = nn.Linear(2, 1)
        self.represented_lexical = nn.Linear(lexical, 1, bias=False)
        self.adds_lexical = nn.Linear(lexical, 1, bias=False)
        self.adds_sentence = nn.Linear(text_tower.WIDTH, 1, bias=False)
        self.adds_area_hidden = nn.Linear(areas, 16)
        self.adds_area = nn.Linear(16, 1)

    def forward(
        self, cosine: Tensor, posterior: Tensor, sentence: Tensor, lexical: Tensor, area: Tensor
    ) -> tuple[Tensor, Tensor]:
        match = (torch.stack([cosine, posterior], -1) - self.match_mean) * self.match_scale
        words = ((lexical - self.lexical_mean) * self.lexical_scale).clamp(-4.0, 4.0)
        cells = (area - self.area_mean) * self.area_scale
        lt = self.represented_match(match) + self.represented_lexical(words)
        lv = (
            self.adds_lexical(words)
            + self.adds_sentence(sentence)
            + self.adds_area(self.adds_area_hidden(cells).tanh())
        )
        return lt[:, 0], lv[:, 0]


class Relation(nn.Module):
    """text [B,TEXT_WIDTH], image [B,IMAGE_WIDTH] → logits [B,4], similarity [B], embedding [B,768] (unit length)."""

    def __init__(self, agreement: Agreement, factors: Factors) -> None:
        super().__init__()
        self.agreement, self.factors = agreement, factors

    def parts(self, text: Tensor, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        sentence, lexical = text[:, : text_tower.WIDTH], text[:, text_tower.WIDTH :]
        cosine, posterior, projection = self.agreement(sentence, image)
        lt, lv = self.factors(cosine, posterior, sentence, lexical, image[:, image_tower.WIDTH + image_tower.CLASSES :])
        return lt, lv, cosine, sentence, projection

    def forward(self, text: Tensor, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        lt, lv, cosine, sentence, projection = self.parts(text, image)
        logits = torch.stack([torch.zeros_like(lt), lv, lt, lt + lv], -1)
        return logits, cosine.clamp(-1.0, 1.0), F.normalize(torch.cat([sentence, projection], -1), dim=-1)


@dataclass(frozen=True)
class HeadConfig:
    seed: int
    epochs: int = 30
    batch: int = 64
    learning_rate: float = 3e-3
    smoothing: float = 0.05  # composed labels are surer than people are
    # Weight decay by parameter: the more a part could learn the composer's wording, the stronger.
    decay_match: float = 1e-3
    decay_words: float = 0.3
    decay_sentence: float = 0.3


def train(agreement: Agreement, text: Tensor, image: Tensor, relations: Tensor, config: HeadConfig) -> Factors:
    """Fits the factors to composed posts: text [N,·], image [N,·], relations int64 [N]."""
    torch.manual_seed(config.seed)
    factors = Factors()
    sentence, lexical = text[:, : text_tower.WIDTH], text[:, text_tower.WIDTH :]
    area = image[:, image_tower.WIDTH + image_tower.CLASSES :]
    with torch.no_grad():
        cosine, posterior, _ = agreement(sentence, image)
    for name, values in (("match", torch.stack([cosine, posterior], -1)), ("lexical", lexical), ("area", area)):
        getattr(factors, f"{name}_mean").copy_(values.mean(0))
        getattr(factors, f"{name}_scale").copy_(1.0 / values.std(0).clamp(min=1e-3))
    words = [factors.represented_lexical.weight, factors.adds_lexical.weight]
    sentences = [factors.adds_sentence.weight]
    rest = [p for p in factors.parameters() if all(p is not q for q in words + sentences)]
    optimizer = torch.optim.AdamW(
        [
            {"params": rest, "weight_decay": config.decay_match},
            {"params": words, "weight_decay": config.decay_words},
            {"params": sentences, "weight_decay": config.decay_sentence},
        ],
        lr=config.learning_rate,
    )
    represented, adds = (relations >= 2).float(), (relations % 2).float()
    soften = lambda flag: flag * (1 - 2 * config.smoothing) + config.smoothing  # noqa: E731
    order = torch.Generator().manual_seed(config.seed)
    for _ in range(config.epochs):
        for rows in torch.randperm(len(text), generator=order).split(config.batch):
            lt, lv = factors(cosine[rows], posterior[rows], sentence[rows], lexical[rows], area[rows])
            loss = F.binary_cross_entropy_with_logits(lt, soften(represented[rows]))
            loss = loss + F.binary_cross_entropy_with_logits(lv, soften(adds[rows]))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return factors.eval()


def logits(relation: Relation, text: np.ndarray, image: np.ndarray) -> np.ndarray:
    """[N,4] without gradients, from arrays."""
    with torch.no_grad():
        return relation(torch.tensor(text), torch.tensor(image))[0].numpy()
