"""Weighted F1 of the relation and of its two parts, and maps from clusters to relations."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from sklearn.metrics import f1_score

PARTS = ("t", "v", "tv")


@dataclass(frozen=True)
class Scores:
    """F1 (0 to 1) and predicted flags by part: t (text represented), v (image adds), tv (the relation)."""

    f1: dict[str, float]
    flags: dict[str, list[int]]


def weighted_f1(true: Sequence[int], predicted: Sequence[int]) -> float:
    """From 0 to 1, each class weighing what it has of the true labels."""
    return float(f1_score(true, predicted, average="weighted"))


def part(relations: Sequence[int], name: str) -> np.ndarray:
    """A relation's own flags of one part."""
    relations = np.asarray(relations)
    return {"t": relations // 2, "v": relations % 2, "tv": relations}[name]


def of_relations(true: Sequence[int], predicted: Sequence[int]) -> Scores:
    """Scores of predicted relations; t and v follow from them."""
    flags = {name: part(predicted, name).tolist() for name in PARTS}
    return Scores({name: weighted_f1(part(true, name), flags[name]) for name in PARTS}, flags)


def of_parts(true: Sequence[int], t: Sequence[int], v: Sequence[int]) -> Scores:
    """Scores of two binary predictions; the relation follows from them."""
    flags = {
        "t": np.asarray(t).tolist(),
        "v": np.asarray(v).tolist(),
        "tv": (2 * np.asarray(t) + np.asarray(v)).tolist(),
    }
    return Scores({name: weighted_f1(part(true, name), flags[name]) for name in PARTS}, flags)


def best_map(true: Sequence[int], clusters: Sequence[int], k: int) -> tuple[int, ...]:
    """The one-to-one map cluster → label of highest weighted F1; the first of equals in lexicographic order."""
    clusters = np.asarray(clusters)
    return max(permutations(range(k)), key=lambda label: weighted_f1(true, np.array(label)[clusters]))


def mapped(clusters: Sequence[int], label: Sequence[int]) -> np.ndarray:
    """The label of each cluster number."""
    return np.asarray(label)[np.asarray(clusters)]
