"""The figures of a bundle, all from its own graphs run as its manifest says."""

import numpy as np
from sklearn.metrics import f1_score, roc_auc_score


def f1s(relations: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Weighted F1 ×100 of the two tasks and of the four relations, as in the paper: the tasks derive from the 4-way
    prediction.
    """

    def score(a: np.ndarray, b: np.ndarray) -> float:
        return 100.0 * f1_score(a, b, average="weighted")

    return {
        "t": score(relations // 2, predicted // 2),
        "v": score(relations % 2, predicted % 2),
        "tv": score(relations, predicted),
    }


def calibration_error(probabilities: np.ndarray, relations: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error of the most likely relation, equal-width bins."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == relations
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(confidence[which == b].mean() - right[which == b].mean()) * (which == b).mean()
        for b in range(bins)
        if (which == b).any()
    ]
    return float(sum(gaps))


def auroc(positive: np.ndarray, negative: np.ndarray) -> float:
    """How often a score of the first kind lies above one of the second."""
    return float(roc_auc_score(np.r_[np.ones(len(positive)), np.zeros(len(negative))], np.r_[positive, negative]))


def matched_against_mismatched(scores: np.ndarray, names: list[str], seed: int, rounds: int = 5) -> float:
    """AUROC of scores[i, j] (text i, picture j) at i = j against random other pictures of another name."""
    rng, names = np.random.default_rng(seed), np.array(names)
    rows = np.arange(len(names))
    negatives = []
    for _ in range(rounds):
        columns = rng.permutation(len(names))
        negatives.append(scores[rows, columns][names != names[columns]])
    return auroc(np.diag(scores), np.concatenate(negatives))
