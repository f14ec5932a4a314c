import json
from pathlib import Path

import numpy as np
import pytest

from itr import calibrate, calibration_file

SHARES = np.array([0.336, 0.256, 0.220, 0.188])


def logits(count: int, shift: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    lv, lt = rng.normal(shift, 2.0, count), rng.normal(-shift, 1.0, count)
    return np.stack([np.zeros(count), lv, lt, lv + lt], 1)


@pytest.mark.parametrize("shift", [-6.0, 0.0, 3.0])
def test_shares_are_matched_wherever_the_logits_stand(shift):
    sample = logits(500, shift)
    found = calibrate.match_shares(sample, calibrate.factor_matrix(0.7, 1.3), SHARES, "test")
    np.testing.assert_allclose(found.probabilities(sample).mean(0), SHARES, atol=1e-6)


def test_matrix_scales_the_factors_and_keeps_the_sum():
    sample = logits(5, 1.0)
    scaled = sample @ calibrate.factor_matrix(0.5, 2.0).T
    np.testing.assert_allclose(scaled[:, 3], 0.5 * sample[:, 1] + 2.0 * sample[:, 2])
    np.testing.assert_allclose(scaled[:, 0], 0.0)


def test_slope_recovers_the_one_that_made_the_flags():
    rng = np.random.default_rng(1)
    score = rng.normal(0, 2, 20_000)
    flag = rng.random(20_000) < 1 / (1 + np.exp(-(0.6 * score - 0.4)))
    assert calibrate.slope(score, flag) == pytest.approx(0.6, abs=0.03)


GOLDEN = Path(__file__).parents[2] / "testdata"


def golden() -> tuple[dict, calibrate.Calibration, np.ndarray]:
    """The sample that the Go tests fit to as well, the bundle's own calibration, and its scores."""
    found = json.loads((GOLDEN / "calibration_golden.json").read_text())
    own = calibrate.Calibration(*(np.array(found["calibration"][key]) for key in ("matrix", "bias")), "own")
    logits = np.array(found["logits"], np.float32).astype(np.float64)
    return found, own, own.probabilities(logits).astype(np.float32)


@pytest.mark.parametrize("how", ["priors", "verdicts"])
def test_fits_are_those_of_the_go_code(how):
    found, own, scores = golden()
    if how == "priors":
        adjustment = calibrate.match_priors(scores, found["priors"])
    else:
        adjustment = calibrate.fit_verdicts(scores, np.array(found["verdicts"]))
    got = own.after(adjustment, how)
    for key in ("matrix", "bias"):
        np.testing.assert_allclose(getattr(got, key), found["fitted"][how][key], atol=1e-6)
    if how == "priors":
        want = (GOLDEN / "calibration_golden.yaml").read_text()
        written = calibrate.Calibration(*(np.array(found["fitted"][how][key]) for key in ("matrix", "bias")), how)
        assert calibration_file.text("0" * 64, written) == want


def test_one_calibration_does_for_two():
    found, own, scores = golden()
    adjustment = calibrate.Adjustment(0.7, np.array([0.3, -0.1, 0.0, 0.5]))
    once = own.after(adjustment, "both").probabilities(np.array(found["logits"]))
    np.testing.assert_allclose(once, adjustment.apply(scores), atol=1e-6)


def test_priors_become_the_mean_scores():
    scores = golden()[2]
    found = calibrate.match_priors(scores, (5, 3, 1, 1))
    assert found.slope == 1
    np.testing.assert_allclose(found.apply(scores).mean(0), (0.5, 0.3, 0.1, 0.1), atol=1e-6)


def test_verdicts_give_back_what_they_were_drawn_from():
    rng = np.random.default_rng(2)
    scores = calibrate.softmax(1.5 * rng.normal(size=(20_000, 4)))
    truth = calibrate.Adjustment(0.6, np.array([0.9, -0.3, 0.2, -0.8]))
    drawn = (truth.apply(scores).cumsum(1) < rng.random((20_000, 1))).sum(1).clip(max=3)
    found = calibrate.fit_verdicts(scores, drawn)
    assert found.slope == pytest.approx(0.6, abs=0.05)
    np.testing.assert_allclose(found.bias, truth.bias, atol=0.08)
    few = calibrate.fit_verdicts(scores[:20], np.full(20, 3))
    assert 0 < few.bias[3] < 3, "twenty verdicts move little"


@pytest.mark.parametrize("priors", [(1, 0, 1, 1), (1, 1, 1), (1, float("nan"), 1, 1)])
def test_priors_that_are_none(priors):
    with pytest.raises(ValueError, match="four numbers above 0"):
        calibrate.match_priors(golden()[2], priors)


def test_small_samples_are_refused():
    scores = golden()[2][:19]
    with pytest.raises(ValueError, match="19 pairs are too few to calibrate on: 20 at least"):
        calibrate.match_priors(scores, (1, 1, 1, 1))
    with pytest.raises(ValueError, match="19 pairs with 19 verdicts"):
        calibrate.fit_verdicts(scores, np.zeros(19, int))
