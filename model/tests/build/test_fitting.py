"""What a head learns from posts whose making is known."""

import numpy as np
import torch

from itr import fitting, image_tower, relation, text_tower
from itr.fitting import FitConfig, Posts


def posts(count: int, seed: int, agreement: relation.Agreement) -> Posts:
    """Texts name a class; where they match, the picture shows it. One word kind goes with every match, and one style
    with every picture that adds.
    """
    rng = np.random.default_rng(seed)
    prototypes = agreement.prototypes().numpy()
    named = rng.integers(0, 1000, count)
    matched, adds = rng.random(count) < 0.5, rng.random(count) < 0.5
    shown = np.where(matched, named, rng.integers(0, 1000, count))
    text = np.zeros((count, relation.TEXT_WIDTH), np.float32)
    noisy = prototypes[named] + 0.03 * rng.standard_normal((count, text_tower.WIDTH))
    text[:, text_tower.SENTENCE] = noisy / np.linalg.norm(noisy, axis=1, keepdims=True)
    text[:, text_tower.STYLE] = rng.standard_normal((count, text_tower.WIDTH))
    text[:, text_tower.STYLE][:, 3] += 6.0 * adds
    text[:, text_tower.LEXICAL] = rng.random((count, relation.TEXT_WIDTH - 2 * text_tower.WIDTH))
    text[:, text_tower.LEXICAL][:, 0] = matched
    image = np.zeros((count, relation.IMAGE_WIDTH), np.float32)
    image[np.arange(count), image_tower.WIDTH + shown] = 12.0
    image[:, relation.AREA] = rng.random((count, image.shape[1] - image_tower.WIDTH - image_tower.CLASSES))
    return Posts(text, image, 2 * matched + adds, np.arange(count))


def agreement() -> relation.Agreement:
    torch.manual_seed(4)
    prototypes = torch.nn.functional.normalize(torch.randn(1000, text_tower.WIDTH), dim=1)
    return relation.Agreement(prototypes, torch.full((1000,), 1e-3))


def test_wording_does_not_stand_in_for_the_picture():
    known = agreement()
    composed, written = posts(300, 1, known), posts(300, 2, known)
    factors = fitting.fit(known, composed.rows(np.arange(0)), written, FitConfig(0))
    none = fitting.fit(known, composed.rows(np.arange(0)), written, FitConfig(0, strangers=0))
    wording, match = (
        lambda f: f.represented_lexical.weight[0, 0].item(),
        lambda f: f.represented_match.weight.abs().sum().item(),
    )
    assert wording(factors) < 0.8 * wording(none)
    assert match(factors) > match(none)


def test_adding_is_heard_in_the_style_and_equal_seeds_give_equal_heads():
    known = agreement()
    composed, written, test = (posts(300, seed, known) for seed in (1, 2, 3))
    first, again = (fitting.fit(known, composed, written, FitConfig(5)) for _ in range(2))
    assert first.adds_style.weight.abs().argmax() == 3
    for name, value in first.state_dict().items():
        torch.testing.assert_close(value, again.state_dict()[name], rtol=0, atol=0)
    scores = relation.logits(relation.Relation(known, first), test.text, test.image)
    assert ((scores[:, 2] > 0) == (test.relations >= 2)).mean() > 0.9
    assert ((scores[:, 1] > 0) == (test.relations % 2 == 1)).mean() > 0.8
