import numpy as np
import pytest

from itr import calibrate

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
