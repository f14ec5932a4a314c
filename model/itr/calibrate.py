"""Turns the head's logits into probabilities one can act on: scores = softmax(matrix · logits + bias).

Logits rank posts well and label them badly, since how sure a match looks depends on how people write. So labels come
from class shares: slopes are fitted where labels are known by construction, then biases until the mean probability of
each relation over a sample equals its declared share.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Calibration:
    matrix: np.ndarray  # [4,4]
    bias: np.ndarray  # [4]
    source: str

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """[N,4] → [N,4]."""
        return softmax(logits @ self.matrix.T + self.bias)


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
    scaled, bias = logits @ matrix.T, np.log(shares)
    for _ in range(10_000):
        move = np.log(shares) - np.log(softmax(scaled + bias).mean(0))
        bias += move
        if np.abs(move).max() < 1e-10:
            break
    return Calibration(matrix, bias - bias.mean(), source)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
