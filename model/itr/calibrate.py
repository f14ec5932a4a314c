"""Turns the head's logits into probabilities one can act on: scores = softmax(matrix · logits + bias).

Logits rank posts well and label them badly, since how sure a match looks depends on how people write. So labels come
from class shares: slopes are fitted where labels are known by construction, then biases until the mean probability of
each relation over a sample equals its declared share.

A bundle's calibration is fitted further to somebody's own posts by an Adjustment of its scores, with the arithmetic of
`itrstream model calibrate`, step for step, so that both write the same numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Calibration:
    """scores = softmax(matrix · logits + bias); `source` says what it was fitted to."""

    matrix: np.ndarray  # [4,4]
    bias: np.ndarray  # [4]
    source: str

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """[N,4] → [N,4]."""
        return softmax(logits @ self.matrix.T + self.bias)

    def after(self, adjustment: "Adjustment", source: str) -> "Calibration":
        """The calibration that gives at once what this one and then an adjustment give."""
        slope, bias = adjustment.slope, adjustment.bias
        return Calibration(slope * self.matrix, slope * self.bias + bias, source)


@dataclass(frozen=True)
class Adjustment:
    """A further calibration of scores: softmax(slope · log score + bias)."""

    slope: float
    bias: np.ndarray  # [4]

    def apply(self, scores: np.ndarray) -> np.ndarray:
        """[N,4] → [N,4]."""
        return softmax(self.slope * _log(scores) + self.bias)


MIN_SAMPLE = 20  # the fewest pairs that an adjustment can be fitted to
_PULL = 10.0  # the weight, in verdicts, of the prior that nothing is to change


def factor_matrix(adds: float, represented: float) -> np.ndarray:
    """[4,4] that scales lv and lt inside logits [0, lv, lt, lt + lv]."""
    matrix = np.zeros((4, 4))
    matrix[1, 1] = matrix[3, 1] = adds
    matrix[2, 2] = matrix[3, 2] = represented
    return matrix


def slope(score: np.ndarray, flag: np.ndarray) -> float:
    """Slope of the logistic regression of a flag, 0 to 1, on one score, by Newton's method."""
    x = np.stack([score, np.ones_like(score)], 1).astype(np.float64)
    weights = np.zeros(2)
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-x @ weights))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 1e-6 * np.eye(2)
        step = np.linalg.solve(hessian, x.T @ (flag - p))
        weights += step
        if np.abs(step).max() < 1e-9:
            break
    return float(weights[0])


def match_shares(logits: np.ndarray, matrix: np.ndarray, shares: np.ndarray, source: str) -> Calibration:
    """The bias with which the mean probabilities over `logits` [N,4] equal `shares` [4]; its mean is 0."""
    return Calibration(matrix, _matching_bias(logits @ matrix.T, shares), source)


def match_priors(scores: np.ndarray, priors: Sequence[float]) -> Adjustment:
    """The biases with which the mean score of each relation over a sample [N,4] is its prior: no label is needed.

    Priors may have any sum. Which of two posts scores higher for a relation stays nearly as it was.
    """
    if len(scores) < MIN_SAMPLE:
        raise ValueError(f"{len(scores)} pairs are too few to calibrate on: {MIN_SAMPLE} at least")
    shares = np.array(priors, np.float64)
    if shares.shape != (4,) or not (np.isfinite(shares) & (shares > 0)).all():
        raise ValueError(f"priors {list(priors)}: must be four numbers above 0")
    return Adjustment(1.0, _matching_bias(_log(scores), shares / shares.sum()))


def fit_verdicts(scores: np.ndarray, verdicts: np.ndarray) -> Adjustment:
    """Slope and biases that make verdicts [N], relations 0…3, on a sample [N,4] most likely.

    A pull towards no change counts as much as ten verdicts.
    """
    if len(scores) != len(verdicts) or len(scores) < MIN_SAMPLE:
        raise ValueError(
            f"{len(scores)} pairs with {len(verdicts)} verdicts to calibrate on: {MIN_SAMPLE} of each at least"
        )
    found, step = Adjustment(1.0, np.zeros(4)), 1.0
    loss = _verdict_loss(scores, verdicts, found)
    for _ in range(5_000):
        slope, bias = _verdict_gradient(scores, verdicts, found)
        moved = Adjustment(found.slope - step * slope, found.bias - step * bias)
        better = _verdict_loss(scores, verdicts, moved)
        if better > loss:
            step /= 2
        elif loss - better < 1e-12:
            found = moved
            break
        else:
            found, loss, step = moved, better, step * 1.2
    return Adjustment(found.slope, found.bias - found.bias.mean())


def _matching_bias(logits: np.ndarray, shares: np.ndarray) -> np.ndarray:
    bias = np.zeros(4)
    for _ in range(10_000):
        move = np.log(shares / np.maximum(softmax(logits + bias).mean(0), 1e-12))
        bias += move
        if np.abs(move).max() < 1e-9:
            break
    return bias - bias.mean()  # softmax does not see the common part


def _verdict_loss(scores: np.ndarray, verdicts: np.ndarray, adjustment: Adjustment) -> float:
    """Mean negative log likelihood, with the pull."""
    likely = _log(adjustment.apply(scores)[np.arange(len(scores)), verdicts])
    away = (adjustment.slope - 1) ** 2 + (adjustment.bias**2).sum()
    return (-likely.sum() + _PULL * away / 2) / len(scores)


def _verdict_gradient(scores: np.ndarray, verdicts: np.ndarray, adjustment: Adjustment) -> tuple[float, np.ndarray]:
    off = adjustment.apply(scores) - np.eye(4)[verdicts]
    slope = (off * _log(scores)).sum() + _PULL * (adjustment.slope - 1)
    return slope / len(scores), (off.sum(0) + _PULL * adjustment.bias) / len(scores)


def _log(scores: np.ndarray) -> np.ndarray:
    """Keeps the smallest finite."""
    return np.log(np.maximum(np.asarray(scores, np.float64), 1e-12))


def softmax(x: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
