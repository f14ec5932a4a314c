"""Writes calibration_golden.json and calibration_golden.yaml: what both `itr calibrate` and `itrstream model calibrate`
make of one sample. The tests of both compare themselves with it.

    python model/testdata/calibration_golden.py
"""

import json
from pathlib import Path

import numpy as np

from itr import calibration_file
from itr.calibrate import Calibration, fit_verdicts, match_priors

HERE = Path(__file__).parent
PAIRS, BUNDLE = 60, "0" * 64
PRIORS = (50, 20, 20, 10)


def main() -> None:
    rng = np.random.default_rng(17)
    logits = rng.normal(0, 2, (PAIRS, 4)).round(3)
    verdicts = (logits + rng.gumbel(size=(PAIRS, 4)) * 1.5).argmax(1)
    own = Calibration(np.diag([1.0, 0.85, 0.6, 0.7]) + 0.1, np.array([0.2, -0.15, -0.1, 0.05]), "the bundle's own")
    scores = own.probabilities(logits.astype(np.float32).astype(np.float64)).astype(np.float32)
    fitted = {"priors": match_priors(scores, PRIORS), "verdicts": fit_verdicts(scores, verdicts)}
    after = {name: own.after(adjustment, name) for name, adjustment in fitted.items()}
    golden = {
        "logits": logits.tolist(),
        "verdicts": verdicts.tolist(),
        "calibration": plain(own),
        "priors": PRIORS,
        "fitted": {name: plain(calibration) for name, calibration in after.items()},
    }
    (HERE / "calibration_golden.json").write_text(json.dumps(golden, indent=1) + "\n")
    (HERE / "calibration_golden.yaml").write_text(calibration_file.text(BUNDLE, after["priors"]))


def plain(calibration: Calibration) -> dict:
    return {"matrix": calibration.matrix.tolist(), "bias": calibration.bias.tolist()}


if __name__ == "__main__":
    main()
