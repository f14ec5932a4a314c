"""Evaluations on data small enough to work out by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from itr import figures, protocols, scores
from itr.embed import Embedded, embed_all
from itr.labelled import Labelled
from itr.pairs import DataError, Pair, Picture
from itr.protocols import Curve
from itr.scores import Scores


def rows(relations: list[int], name: str = "r") -> list[Pair]:
    return [Pair(f"{name}{i}", "", Picture(Path("none")), "", relation=r) for i, r in enumerate(relations)]


def vectors(values: list[list[float]]) -> Embedded:
    joint = torch.tensor(values, dtype=torch.float32)
    return Embedded(joint, joint, joint)


def test_f1_by_hand() -> None:
    found = scores.of_relations([0, 1, 2, 3, 3], [0, 1, 2, 2, 3])
    # tv: F1 of the classes 1, 1, 2/3, 2/3 with supports 1, 1, 1, 2
    assert found.f1["tv"] == pytest.approx((1 + 1 + 2 / 3 + 2 * 2 / 3) / 5)
    assert found.f1["t"] == 1.0
    # v: true 0 1 0 1 1, found 0 1 0 0 1: F1 of 0 is 0.8 (support 2), of 1 is 0.8 (support 3)
    assert found.f1["v"] == pytest.approx(0.8)
    assert found.flags == {"t": [0, 0, 1, 1, 1], "v": [0, 1, 0, 0, 1], "tv": [0, 1, 2, 2, 3]}
    parts = scores.of_parts([0, 1, 2, 3, 3], [0, 0, 1, 1, 1], [0, 1, 0, 0, 1])
    assert parts == found


def test_the_best_map_is_the_permutation() -> None:
    true = [0, 0, 1, 2, 3, 3]
    label = (2, 0, 3, 1)
    clusters = [label.index(relation) for relation in true]
    assert scores.best_map(true, clusters, 4) == label
    assert scores.mapped(clusters, label).tolist() == true
    # One cluster only: the first map of the best, which gives it the larger class.
    assert scores.best_map([1, 1, 0], [0, 0, 0], 2) == (1, 0)
    # Nothing is right under any map: the first one, not an error.
    assert scores.best_map([5, 5], [0, 1], 2) == (0, 1)


def chooser(wanted: int = 4) -> nn.Linear:
    """A classifier whose logits are its inputs."""
    classifier = nn.Linear(wanted, wanted, bias=False)
    nn.init.eye_(classifier.weight)
    return classifier


def one_hot(clusters: list[int], k: int = 4) -> Embedded:
    return vectors(np.eye(k)[clusters].tolist())


def test_zero_shot_maps_by_test_labels_and_by_training_labels() -> None:
    # Training says clusters 0,1,2,3 are relations 0,1,2,3; the test set's own labels would swap 0 and 1.
    data = Labelled(rows([0, 1, 2, 3] * 3), rows([1, 0, 2, 3]))
    found = protocols.zero_shot(chooser(), one_hot([0, 1, 2, 3] * 3), one_hot([0, 1, 2, 3]), data, 4)
    assert found.maps == {"paper": [1, 0, 2, 3], "honest": [0, 1, 2, 3]}
    assert found.paper.f1 == {"t": 1.0, "v": 1.0, "tv": 1.0}
    assert found.honest.f1 == {"t": 1.0, "v": 0.5, "tv": 0.5}
    assert found.train == 1.0


def test_zero_shot_of_two_clusters_maps_each_part() -> None:
    # Clusters 0,0,1,1. t of the test set is 1,1,0,0, so its map swaps; v is 0,0,1,1.
    data = Labelled(rows([0, 0, 3, 3]), rows([2, 2, 1, 1]))
    found = protocols.zero_shot(chooser(2), one_hot([0, 0, 1, 1], 2), one_hot([0, 0, 1, 1], 2), data, 2)
    assert found.maps == {"paper": [[1, 0], [0, 1]], "honest": [[0, 1], [0, 1]]}
    assert found.paper.f1 == {"t": 1.0, "v": 1.0, "tv": 0.0}
    assert found.honest.f1 == {"t": 0.0, "v": 1.0, "tv": 0.0}
    assert found.honest.flags == {"t": [0, 0, 1, 1], "v": [0, 0, 1, 1], "tv": []}


@pytest.mark.parametrize("k", [2, 4])
def test_probe_separates_what_is_separable(k: int) -> None:
    relations = [0, 1, 2, 3] * 20
    corner = {0: [-9.0, -9.0], 1: [-9.0, 9.0], 2: [9.0, -9.0], 3: [9.0, 9.0]}
    data = Labelled(rows(relations, "a"), rows([3, 2, 1, 0], "b"))
    train, test = vectors([corner[r] for r in relations]), vectors([corner[r] for r in (3, 2, 1, 1)])
    found, dev = protocols.probe(train, test, data, k, strength=0.25, seed=0)
    assert found.flags["tv"] == [3, 2, 1, 1]
    assert dev == 1.0
    assert data.dev().any()


def test_probe_of_one_class_is_refused() -> None:
    data = Labelled(rows([2] * 30), rows([1]))
    with pytest.raises(DataError, match="all 30 training rows have label 2"):
        protocols.probe(vectors([[float(i)] for i in range(30)]), vectors([[0.0]]), data, 4, 0.25, 0)


def test_dev_rows_do_not_help_the_dev_score() -> None:
    """Labels of the dev rows are turned round, and each has a feature of its own that would give it away."""
    data = Labelled(rows([0, 3] * 40), rows([0, 3]))
    dev = data.dev()
    turned = [3 - pair.relation if apart else pair.relation for pair, apart in zip(data.train, dev, strict=True)]
    sign = [[-1.0 if pair.relation == 0 else 1.0] for pair in data.train]
    x = vectors(np.hstack([sign, 50 * np.diag(dev)]).tolist())
    x_test = vectors([[-1.0, *[0.0] * 80], [1.0, *[0.0] * 80]])
    found, dev_f1 = protocols.probe(x, x_test, Labelled(rows(turned), data.test), 4, 0.25, 0)
    assert dev_f1 == 0.0
    assert found.f1["tv"] == 1.0


def curve(tv: list[float], dev: list[float]) -> Curve:
    found = Curve()
    for value, choice in zip(tv, dev, strict=True):
        found.add(Scores({"t": value / 2, "v": value / 4, "tv": value}, {"t": [0], "v": [0], "tv": [0]}), choice)
    return found


def test_three_ways_to_read_a_curve() -> None:
    found = curve([0.3, 0.9, 0.5, 0.4], [0.1, 0.2, 0.8, 0.3])
    assert found.paper() == {"iteration": 2, "t": 0.45, "v": 0.225, "tv": 0.9}
    assert found.last()["iteration"] == 4
    assert found.dev_selected() == {"iteration": 3, "t": 0.25, "v": 0.125, "tv": 0.5}
    found.dev = []
    assert found.dev_selected() is None
    assert Curve.of(found.plain()) == found


def test_a_curve_without_relations_takes_each_part_s_best() -> None:
    found = Curve([Scores({"t": t, "v": v, "tv": 0.0}, {}) for t, v in ((0.6, 0.1), (0.2, 0.7))], [0.1, 0.2])
    assert found.paper() == {"t": 0.6, "v": 0.7, "tv": 0.0}


def test_mismatch_is_one_minus_cosine() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.proj_t, self.proj_v = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
            for layer in (self.proj_t, self.proj_v):
                nn.init.eye_(layer.weight)

        def encode_pairs(self, pairs: list[Pair]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            image = torch.tensor([[2.0, 0.0] if pair.relation else [0.0, 3.0] for pair in pairs])
            return torch.tensor([[1.0, 0.0]] * len(pairs)), image, image

    found = protocols.mismatch(Model(), embed_all(Model(), rows([1, 0, 1]), batch=2))
    np.testing.assert_allclose(found, [0.0, 1.0, 0.0], atol=1e-6)
    assert protocols.auroc(np.array([0, 1, 0]), found) == 1.0


def test_class_aurocs() -> None:
    embedded = vectors([[2.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    assert protocols.class_aurocs(chooser(2), embedded, np.array([1, 1, 0])) == [1.0, 0.0]


def test_confusion_counts_labels_in_rows() -> None:
    counts = figures.confusion_counts([0, 0, 3, 3], [0, 1, 2, 3])
    assert counts[0].tolist() == [1, 1, 0, 0]
    assert counts[3].tolist() == [0, 0, 1, 1]
    assert counts.sum() == 4
