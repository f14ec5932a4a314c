"""Figures of heads on labelled posts: how well they rank and label, beside what takes no model or half of a post."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from itr import evaluate, relation
from itr.calibrate import Calibration
from itr.fitting import Posts

_COVERAGES = (100, 90, 80, 70, 60, 50)  # % of posts
_RESAMPLES = 1000


def labels(
    name: str, heads: list[relation.Relation], calibrations: list[Calibration], train: Posts, test: Posts
) -> dict[str, float | list[float]]:
    """F1 ×100 and AUROC on test posts, a list holding one value a head; baselines fitted to the training posts."""
    relations = test.relations
    logits = [relation.logits(head, test.text, test.image) for head in heads]
    scores = [c.probabilities(one) for one, c in zip(logits, calibrations, strict=True)]
    f1s = [evaluate.f1s(relations, one.argmax(1)) for one in scores]
    found: dict[str, float | list[float]] = {
        f"{name} {task} F1": [one[task] for one in f1s] for task in ("t", "v", "tv")
    }
    found[f"{name} tv F1 before calibration"] = [evaluate.f1s(relations, one.argmax(1))["tv"] for one in logits]
    low, high = _interval(scores[0].argmax(1), test)
    found |= {f"{name} tv F1, lower end": low, f"{name} tv F1, upper end": high}
    majority = np.full_like(relations, np.bincount(relations).argmax())
    found[f"{name} tv F1, majority"] = evaluate.f1s(relations, majority)["tv"]
    for half in ("text", "image"):
        guess = _probe(getattr(train, half), train.relations).predict(getattr(test, half))
        found[f"{name} tv F1, {half} only"] = evaluate.f1s(relations, guess)["tv"]
    for task, column, flag in (("t", 2, relations >= 2), ("v", 1, relations % 2 == 1)):
        found[f"{name} {task} AUROC"] = [evaluate.auroc(one[flag, column], one[~flag, column]) for one in logits]
    found[f"{name} ECE"] = [evaluate.calibration_error(one, relations) for one in scores]
    return found


def certainty(head: relation.Relation, calibration: Calibration, test: Posts) -> dict[str, float]:
    """F1 ×100 and accuracy on the share of posts whose label is surest, by share."""
    scores = calibration.probabilities(relation.logits(head, test.text, test.image))
    order = np.argsort(-scores.max(1), kind="stable")
    found = {}
    for coverage in _COVERAGES:
        kept = order[: round(len(order) * coverage / 100)]
        guess, true = scores[kept].argmax(1), test.relations[kept]
        found[f"surest {coverage} % tv F1"] = evaluate.f1s(true, guess)["tv"]
        found[f"surest {coverage} % accuracy"] = float((guess == true).mean())
    return found


def _interval(guess: np.ndarray, test: Posts) -> tuple[float, float]:
    """The middle 95 % of F1 of the relation when the pictures are drawn anew."""
    rng = np.random.default_rng(0)
    pictures = [np.flatnonzero(test.pictures == picture) for picture in np.unique(test.pictures)]
    f1s = []
    for _ in range(_RESAMPLES):
        rows = np.concatenate([pictures[i] for i in rng.integers(0, len(pictures), len(pictures))])
        f1s.append(evaluate.f1s(test.relations[rows], guess[rows])["tv"])
    return tuple(float(end) for end in np.quantile(f1s, (0.025, 0.975)))


def _probe(x: np.ndarray, relations: np.ndarray) -> LogisticRegression:
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300)).fit(x, relations)
