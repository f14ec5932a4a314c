"""Fits the relation head to posts whose relation is known: written ones, and composed ones beside them."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from itr import text_tower
from itr.relation import AREA, Agreement, Factors


@dataclass(frozen=True)
class Posts:
    """N posts through the towers, with what is known of each."""

    text: np.ndarray  # [N, text width]
    image: np.ndarray  # [N, image width]
    relations: np.ndarray  # int [N]: 2·text_is_represented + image_adds
    pictures: np.ndarray  # int [N]: posts of equal number show the same picture

    def rows(self, chosen: np.ndarray) -> "Posts":
        return Posts(self.text[chosen], self.image[chosen], self.relations[chosen], self.pictures[chosen])


@dataclass(frozen=True)
class FitConfig:
    seed: int
    # What one written post weighs in composed ones, for each flag: people's wording teaches v, and composed posts are
    # the better half of what is known of t.
    written: float = 8.0
    strangers: int = 2  # pictures of other posts that a text which its own picture represents is set beside, as t = 0
    smoothing: float = 0.05  # labels by construction, and one writer's, are surer than people are
    # Half the squared weight costs this: the more a part could learn wording, the more.
    penalty_match: float = 1e-4
    penalty_words: float = 1e-2
    penalty_style: float = 5e-2
    steps: int = 60


@dataclass(frozen=True)
class _Rows:
    text: Tensor
    image: Tensor
    represented: Tensor
    adds: Tensor
    weight_represented: Tensor
    weight_adds: Tensor


def fit(agreement: Agreement, composed: Posts, written: Posts, config: FitConfig) -> Factors:
    """The head for these posts. Written posts whose text is represented stand beside strangers' pictures, too, so that
    no wording tells that a text is represented.
    """
    torch.manual_seed(config.seed)
    rows, factors = _rows(composed, written, config), Factors()
    sentence, style, lexical = (
        rows.text[:, part] for part in (text_tower.SENTENCE, text_tower.STYLE, text_tower.LEXICAL)
    )
    area = rows.image[:, AREA]
    with torch.no_grad():
        cosine, posterior, _ = agreement(sentence, rows.image)
    match = torch.stack([cosine, posterior], -1)
    for name, values in (("match", match), ("style", style), ("lexical", lexical), ("area", area)):
        weights = rows.weight_adds / rows.weight_adds.sum()
        mean = (values * weights[:, None]).sum(0)
        spread = ((values - mean).square() * weights[:, None]).sum(0).sqrt()
        getattr(factors, f"{name}_mean").copy_(mean)
        getattr(factors, f"{name}_scale").copy_(1.0 / spread.clamp(min=1e-3))
    words = [factors.represented_lexical.weight, factors.adds_lexical.weight]
    penalties = [(config.penalty_words, one) for one in words] + [(config.penalty_style, factors.adds_style.weight)]
    penalties += [
        (config.penalty_match, one)
        for one in factors.parameters()
        if one.dim() == 2 and all(one is not other for _, other in penalties)
    ]
    optimizer = torch.optim.LBFGS(factors.parameters(), max_iter=config.steps, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        lt, lv = factors(cosine, posterior, style, lexical, area)
        total = _cost(lt, rows.represented, rows.weight_represented, config)
        total = total + _cost(lv, rows.adds, rows.weight_adds, config)
        total = total + sum(cost * one.square().sum() / 2 for cost, one in penalties)
        total.backward()
        return total

    optimizer.step(loss)
    return factors.eval().requires_grad_(False)


def _cost(score: Tensor, flag: Tensor, weights: Tensor, config: FitConfig) -> Tensor:
    softened = flag * (1 - 2 * config.smoothing) + config.smoothing
    return F.binary_cross_entropy_with_logits(score, softened, weights, reduction="sum") / weights.sum()


def _rows(composed: Posts, written: Posts, config: FitConfig) -> _Rows:
    one, many = np.ones(len(composed.text)), np.full(len(written.text), config.written)
    told = np.flatnonzero(written.relations >= 2).repeat(config.strangers)
    shown = np.random.default_rng(config.seed).integers(0, len(written.text), len(told))
    stranger = written.pictures[told] != written.pictures[shown]
    told, shown = told[stranger], shown[stranger]
    # A stranger's picture says nothing of v.
    return _Rows(
        *(
            torch.tensor(np.concatenate(parts), dtype=torch.float32)
            for parts in (
                (composed.text, written.text, written.text[told]),
                (composed.image, written.image, written.image[shown]),
                (composed.relations >= 2, written.relations >= 2, np.zeros(len(told))),
                (composed.relations % 2, written.relations % 2, np.zeros(len(told))),
                (one, many, np.full(len(told), config.written / max(1, config.strangers))),
                (one, many, np.zeros(len(told))),
            )
        )
    )
