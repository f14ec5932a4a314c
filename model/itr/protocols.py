"""The paper's evaluations of one model state, and beside each figure one that no test label has helped.

The paper picks the best of all iterations, and the best map from clusters to relations, by the test labels. Here every
curve also says its last value and that at the iteration which dev labels choose, and clusters are mapped by training
labels, too.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import nn

from itr import scores
from itr.embed import Embedded
from itr.labelled import Labelled
from itr.pairs import DataError, Pair
from itr.scores import PARTS, Scores

# How often the paper's code passes over its evaluation loaders, by k: each pass moves the random state (see `order`).
PROBE_PASSES = {2: 9, 4: 6}
ZERO_SHOT_PASSES = {2: 3, 4: 2}
FAKENEWS_PASSES = 2


@dataclass
class Curve:
    """One protocol's scores over iterations or epochs."""

    test: list[Scores] = field(default_factory=list)
    dev: list[float] = field(default_factory=list)  # what chooses an iteration without test labels

    def add(self, test: Scores, dev: float) -> None:
        self.test.append(test)
        self.dev.append(dev)

    def paper(self) -> dict[str, Any]:
        """Best by test labels, as the paper reports; without a relation (k=2 zero-shot), each part's own best."""
        relation = [one.f1["tv"] for one in self.test]
        if max(relation) > 0:
            return self._at(int(np.argmax(relation)))
        return {part: max(one.f1[part] for one in self.test) for part in PARTS}

    def last(self) -> dict[str, Any]:
        return self._at(len(self.test) - 1)

    def dev_selected(self) -> dict[str, Any] | None:
        """None where there were no dev labels."""
        return self._at(int(np.argmax(self.dev))) if len(self.dev) == len(self.test) else None

    def _at(self, index: int) -> dict[str, Any]:
        return {"iteration": index + 1, **self.test[index].f1}

    def plain(self) -> dict[str, list]:
        """As plain values, for a file that no code is run to read."""
        return {"test": [(one.f1, one.flags) for one in self.test], "dev": self.dev}

    @classmethod
    def of(cls, plain: dict[str, list]) -> "Curve":
        return cls([Scores(*one) for one in plain["test"]], list(plain["dev"]))

    def log(self) -> dict[str, list]:
        """The lists of the paper's log files."""
        f1s = {f"f1s_{part}": [one.f1[part] for one in self.test] for part in PARTS}
        return f1s | {f"flags_{part}": [one.flags[part] for one in self.test] for part in PARTS}


def relations(pairs: list[Pair]) -> np.ndarray:
    """int [N]; all pairs have one."""
    return np.array([pair.relation for pair in pairs])


def probe(
    train: Embedded, test: Embedded, labelled: Labelled, k: int, strength: float, seed: int
) -> tuple[Scores, float]:
    """Logistic regression on frozen embeddings (C = `strength`): test scores; F1 of the relation on dev, unseen.

    k=4 fits one classifier of the relation, k=2 one for each part. Raw features, lbfgs, at most 100 steps.
    """
    known, true, dev = relations(labelled.train), relations(labelled.test), labelled.dev()
    x, x_test = train.pair.numpy(), test.pair.numpy()
    result = _fit_and_score(x, known, x_test, true, k, strength, seed)
    if not dev.any() or dev.all():
        raise DataError(f"{len(known)} training rows are too few to keep a dev part apart")
    held_out = _fit_and_score(x[~dev], known[~dev], x[dev], known[dev], k, strength, seed)
    return result, held_out.f1["tv"]


def _fit_and_score(
    x: np.ndarray, known: np.ndarray, x_test: np.ndarray, true: np.ndarray, k: int, strength: float, seed: int
) -> Scores:
    def predict(labels: np.ndarray) -> np.ndarray:
        if len(set(labels.tolist())) < 2:
            raise DataError(
                f"all {len(labels)} training rows have label {labels[0]}; a probe needs at least two classes"
            )
        return LogisticRegression(C=strength, random_state=seed).fit(x, labels).predict(x_test)

    if k == 4:
        return scores.of_relations(true, predict(known))
    return scores.of_parts(true, predict(known // 2), predict(known % 2))


def predict(classifier: nn.Module, embedded: Embedded) -> np.ndarray:
    """Class of highest logit, int [N]."""
    device = next(classifier.parameters()).device
    with torch.no_grad():
        return classifier(embedded.pair.to(device)).argmax(1).cpu().numpy()


@dataclass(frozen=True)
class ZeroShot:
    """Clusters read as relations: mapped by test labels as in the paper, and by training labels."""

    paper: Scores
    honest: Scores
    train: float  # F1 on the training part, whose labels gave the honest map
    maps: dict[str, list]  # by "paper" and "honest": cluster → label (k=4), or one such list each for t and v


def zero_shot(classifier: nn.Module, train: Embedded, test: Embedded, labelled: Labelled, k: int) -> ZeroShot:
    """Scores of the clustering head's own classes. k=2 has one map for each part and no relation (its F1 is 0)."""
    known, true = relations(labelled.train), relations(labelled.test)
    seen, found = predict(classifier, train), predict(classifier, test)
    if k == 4:
        maps = {"paper": scores.best_map(true, found, 4), "honest": scores.best_map(known, seen, 4)}
        paper, honest = (scores.of_relations(true, scores.mapped(found, maps[name])) for name in ("paper", "honest"))
        fitted = scores.weighted_f1(known, scores.mapped(seen, maps["honest"]))
        return ZeroShot(paper, honest, fitted, {name: list(label) for name, label in maps.items()})
    result, maps, fitted = {}, {}, []
    for name, labels, clusters in (("paper", true, found), ("honest", known, seen)):
        label = {part: scores.best_map(scores.part(labels, part), clusters, 2) for part in ("t", "v")}
        flags = {part: scores.mapped(found, label[part]).tolist() for part in label}
        f1 = {part: scores.weighted_f1(scores.part(true, part), flags[part]) for part in label}
        result[name] = Scores({**f1, "tv": 0.0}, {**flags, "tv": []})
        maps[name] = [list(label["t"]), list(label["v"])]
    for part, label in zip(("t", "v"), maps["honest"], strict=True):
        fitted.append(scores.weighted_f1(scores.part(known, part), scores.mapped(seen, label)))
    return ZeroShot(result["paper"], result["honest"], float(np.mean(fitted)), maps)


def mismatch(model: nn.Module, embedded: Embedded) -> np.ndarray:
    """float [N]: 1 − cosine of the projected embeddings, high where text and picture don't belong together."""
    device = next(model.proj_t.parameters()).device
    with torch.no_grad():
        text, image = model.proj_t(embedded.text.to(device)), model.proj_v(embedded.image.to(device))
        return (1.0 - torch.cosine_similarity(text, image, dim=1)).cpu().numpy()


def auroc(labels: np.ndarray, score: np.ndarray) -> float:
    """Of labels 1 against 0; 0.5 is chance."""
    return float(roc_auc_score(labels, score))


def class_aurocs(classifier: nn.Module, embedded: Embedded, labels: np.ndarray) -> list[float]:
    """AUROC of each class's probability; the paper's evaluate_fakenews_fc takes the larger of the first two."""
    device = next(classifier.parameters()).device
    with torch.no_grad():
        probabilities = classifier(embedded.pair.to(device)).softmax(1).cpu().numpy()
    return [auroc(labels, column) for column in probabilities.T]
