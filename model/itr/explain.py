"""What in a post speaks for each relation, by a bundle's own graphs: cells of the picture, and words of the text.

Cells: the bundle's activation map. Words: occlusion. The text is run again without each of its words, and what that
takes from a relation's logit, against the mean of the four, is what the word contributes: negative if it speaks for
the others. Contributions do not add up to the logit, as words that say the same stand in for each other.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from itr.bundle import LABELS
from itr.eigen import EigenMaps
from itr.labeller import Labeller


@dataclass(frozen=True)
class Explanation:
    """Of one pair."""

    pixels: np.ndarray  # uint8 [H,W,3], what the image tower sees
    logits: np.ndarray  # [4]
    scores: np.ndarray  # [4], calibrated
    words: list[str]  # in order; what stands behind the last token that the bundle reads is not among them
    by_word: np.ndarray  # [words,4], in logits
    maps: np.ndarray  # [4,h,w] ≥ 0, in logits a cell, unless eigen-smoothed
    eigen_smooth: bool

    @property
    def relation(self) -> int:
        """The one with the highest score."""
        return int(self.scores.argmax())

    def strongest(self, relation: int, count: int) -> list[int]:
        """The words that move a relation's logit most, in the text's order."""
        return sorted(np.argsort(-np.abs(self.by_word[:, relation]), kind="stable")[:count].tolist())

    def to_json(self) -> dict[str, Any]:
        """Everything but the pixels, as plain values."""

        def named(values: np.ndarray) -> dict[str, Any]:
            return {label: float(f"{value:.6g}") for label, value in zip(LABELS, values.tolist(), strict=True)}

        cells = [[[float(f"{cell:.6g}") for cell in row] for row in rows] for rows in self.maps.tolist()]
        return {
            "relation": LABELS[self.relation],
            "scores": named(self.scores),
            "logits": named(self.logits),
            "words": [
                {"word": word, "contribution": named(row)} for word, row in zip(self.words, self.by_word, strict=True)
            ],
            "eigen_smooth": self.eigen_smooth,
            "cam": dict(zip(LABELS, cells, strict=True)),
        }


def explain(labeller: Labeller, pixels: np.ndarray, text: str, eigen: EigenMaps | None = None) -> Explanation:
    """Explains one pair; `eigen` smooths the maps."""
    ids = labeller.pieces.ids(text)
    words = labeller.pieces.words(ids)
    vectors = labeller.text([ids, *(ids[: word.start] + ids[word.end :] for word in words)])
    logits = labeller.logits(vectors, pixels).astype(np.float64)
    against_others = logits - logits.mean(1, keepdims=True)
    return Explanation(
        pixels=pixels,
        logits=logits[0],
        scores=labeller.scores(logits[:1])[0],
        words=[word.text for word in words],
        by_word=against_others[0] - against_others[1:],
        maps=eigen(pixels, vectors[0]) if eigen else labeller.graphs.explain(pixels[None], vectors[:1])[0],
        eigen_smooth=eigen is not None,
    )
