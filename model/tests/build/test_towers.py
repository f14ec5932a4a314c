"""The towers' own arithmetic, on random weights."""

import torch

from itr import image_tower, text_tower
from itr.lexicon import BITS, FEATURES


def tower() -> text_tower.TextTower:
    torch.manual_seed(1)
    lexical = torch.zeros(10_000, dtype=torch.int32)
    lexical[7] = (1 << BITS.index("points")) | (3 << len(BITS))
    model = text_tower.TextTower(lexical, max_tokens=16).eval()
    model.frequent.random_(-127, 128)
    model.frequent_scales.fill_(1e-3)
    return model


def test_four_bits_unpack_to_what_was_packed():
    rows = torch.randn(40, text_tower.WIDTH) * 0.05
    values, scales = text_tower._four_bits(rows)
    model = tower()
    model.rare[:40] = values[:, :192] + values[:, 192:] * 16
    model.rare_scales[:40] = scales.half()
    got = model.embed(torch.arange(text_tower.FREQUENT, text_tower.FREQUENT + 40)[None])[0]
    assert ((got - rows).norm() / rows.norm()) < 0.12
    first = model.embed(torch.tensor([[5]]))[0, 0]
    torch.testing.assert_close(first, model.frequent[5].float() * 1e-3)


def test_padding_changes_nothing_but_rounding():
    model = tower()
    ids = torch.tensor([[101, 7, 7, 42, 9000, 102]])
    with torch.no_grad():
        alone = model(ids, torch.ones_like(ids))
        padded = model(torch.cat([ids, torch.zeros(1, 5, dtype=torch.long)], 1), (torch.arange(11) < 6).long()[None])
    torch.testing.assert_close(alone, padded, atol=1e-5, rtol=1e-5)


def test_word_kinds_are_counted():
    with torch.no_grad():
        ids = torch.tensor([[101, 7, 7, 42, 43, 102]])
        rates = tower()(ids, torch.ones_like(ids))[0, text_tower.LEXICAL]
    assert rates[FEATURES.index("points")] == 2 / 4**0.5
    assert rates[FEATURES.index("concrete")] == 6 / 4**0.5
    torch.testing.assert_close(rates[FEATURES.index("pieces")], torch.tensor(4.0).log())


def test_a_dead_channel_keeps_its_bias_within_reach_of_int32():
    layer = image_tower.Same(3, 2, 3)
    state = {
        "c.weight": torch.randn(2, 3, 3, 3),
        "n.weight": torch.ones(2),
        "n.bias": torch.tensor([0.0, 5.0]),
        "n.running_mean": torch.zeros(2),
        "n.running_var": torch.ones(2),
    }
    state["c.weight"][1] = 1e-20
    image_tower._copy(layer, state, "c", "n")
    scale = layer.conv.weight[1].abs().max() / 63 * (6 / 255)
    assert layer.conv.bias[1] / scale < 2**31
    torch.testing.assert_close(layer(torch.rand(1, 3, 8, 8))[0, 1], torch.full((8, 8), 5.0), atol=1e-3, rtol=0)


def test_classifier_goes_back_the_way_it_came():
    classifier = image_tower.Classifier()
    classifier.set(torch.randn(1000, 1280), torch.randn(1000))
    pooled = torch.randn(2, 1280, requires_grad=True)
    weights = torch.randn(2, 1000)
    (classifier(pooled) * weights).sum().backward()
    torch.testing.assert_close(classifier.back(weights), pooled.grad, rtol=1e-4, atol=1e-3)
