"""Batches and draws must be those of torch's DataLoader."""

import random

import numpy as np
import torch
from torch.utils.data import DataLoader

from itr import order


def test_passes_equal_those_of_a_loader() -> None:
    mixed, plain = DataLoader(range(21), 8, shuffle=True, collate_fn=list), DataLoader(range(21), 8, collate_fn=list)
    torch.manual_seed(5)
    expected = [list(mixed), list(plain), list(plain), list(mixed)]
    after = torch.rand(3)
    torch.manual_seed(5)
    found = [order.shuffled(21, 8), order.straight(21, 8)]
    order.skip_passes(1)
    found += [expected[2], order.shuffled(21, 8)]
    assert found == expected
    assert torch.equal(torch.rand(3), after)


def test_restored_generators_go_on_alike() -> None:
    order.seed_everything(9)
    state = order.random_state()
    draw = lambda: (random.random(), float(np.random.rand()), float(torch.rand(())))  # noqa: E731
    expected = draw()
    order.seed_everything(10)
    assert draw() != expected
    order.restore_random_state(state)
    assert draw() == expected
