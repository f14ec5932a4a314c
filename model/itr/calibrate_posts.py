"""`itr calibrate`: a bundle's probabilities fitted to somebody's own posts, as `itrstream model calibrate` fits them.

Unlabelled posts: the biases with which the mean score of each relation is its prior (declared, or those of the public
Twitter label set). Judged posts: the slope and biases that make the verdicts most likely.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from itr import calibration_file
from itr.bundle import LABELS
from itr.calibrate import Adjustment, fit_verdicts, match_priors
from itr.labeller import UNREADABLE, Labeller
from itr.pairs import DataError, Pair

# The shares of the relations in the public Twitter label set (Vempala and Preoţiuc-Pietro), in percent.
TWITTER_PRIORS = (33.6, 25.6, 22.0, 18.8)


@dataclass(frozen=True)
class Sample:
    """What a bundle says of N pairs."""

    scores: np.ndarray  # float32 [N,4]
    verdicts: np.ndarray | None  # int [N], where every pair has one
    unreadable: int  # pairs left out, as their picture could not be read


def calibrate(
    bundle: Path, pairs: Sequence[Pair], out: Path, priors: Sequence[float], verdicts: bool, force: bool
) -> dict[str, Any]:
    """Fits to the pairs' relations if `verdicts`, else to the priors; writes `out`, and returns what it came to."""
    if out.exists() and not force:
        raise ValueError(f"{out} is there already; --force replaces it")
    labeller = Labeller(bundle)
    sample = score(labeller, pairs, verdicts)
    if verdicts:
        adjustment, source = fit_verdicts(sample.scores, sample.verdicts), f"{len(sample.scores)} verdicts"
    else:
        adjustment = match_priors(sample.scores, priors)
        source = f"priors {','.join(f'{prior:g}' for prior in priors)} over {len(sample.scores)} pairs"
    fitted = labeller.calibration.after(adjustment, source)
    digest = calibration_file.write(out, labeller.digest, fitted)
    unchanged = Adjustment(1.0, np.zeros(4))
    return {
        "out": str(out),
        "digest": digest,
        "bundle": labeller.digest,
        "source": source,
        "pairs": len(sample.scores),
        "unreadable": sample.unreadable,
        "mean_score": {
            "before": _by_relation(unchanged.apply(sample.scores).mean(0)),
            "after": _by_relation(adjustment.apply(sample.scores).mean(0)),
        },
    }


def score(labeller: Labeller, pairs: Sequence[Pair], verdicts: bool) -> Sample:
    """Scores of the pairs whose pictures can be read."""
    if verdicts:
        for pair in pairs:
            if pair.relation is None:
                raise DataError(
                    f'{pair.where}: no "relation"; with --verdicts each post needs one: {", ".join(LABELS)}'
                )
    scores, relations, unreadable = [], [], 0
    for pair in tqdm(pairs, desc="label", unit="pair", disable=None):
        try:
            pixels = labeller.pixels(pair.picture.read())
        except UNREADABLE:
            unreadable += 1
            continue
        text = labeller.text([labeller.pieces.ids(pair.text)])
        scores.append(labeller.scores(labeller.logits(text, pixels))[0])
        relations.append(pair.relation)
    found = np.stack(scores) if scores else np.empty((0, 4), np.float32)
    return Sample(found, np.array(relations, int) if verdicts else None, unreadable)


def _by_relation(values: np.ndarray) -> dict[str, float]:
    return dict(zip(LABELS, values.tolist(), strict=True))
