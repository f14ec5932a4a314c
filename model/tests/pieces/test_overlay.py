import json
from pathlib import Path

import numpy as np
import pytest

from itr import overlay

GOLDEN = Path(__file__).parents[2] / "testdata" / "overlay_golden.json"


def test_maps_are_scaled_and_enlarged_between_the_centres_of_cells():
    got = overlay.enlarged(np.array([[2.0, 4.0]]), 1, 4)
    np.testing.assert_allclose(got, [[0, 0.25, 0.75, 1]])
    np.testing.assert_array_equal(overlay.enlarged(np.full((2, 2), 3.0), 4, 4), np.zeros((4, 4)))
    column = overlay.enlarged(np.array([[0.0], [1.0]]), 4, 2)
    np.testing.assert_allclose(column, np.repeat([[0], [0.25], [0.75], [1]], 2, 1))


@pytest.mark.parametrize(
    ("value", "colour"),
    [(0.0, (0, 0, 0.5)), (0.25, (0, 0.5, 1)), (0.5, (0.5, 1, 0.5)), (0.75, (1, 0.5, 0)), (1.0, (0.5, 0, 0))],
)
def test_jet_goes_from_blue_to_red(value, colour):
    np.testing.assert_allclose(overlay.jet(np.array(value)), colour)


def test_the_sum_is_divided_by_its_brightest_value():
    pixels = np.zeros((1, 2, 3), np.uint8)
    pixels[0, 1] = (255, 0, 51)
    # The second cell is hot: dark red over (1, 0, 0.2) makes (1.5, 0, 0.2).
    painted = overlay.paint(pixels, np.array([[0.0, 1.0]]))
    np.testing.assert_array_equal(painted, [[(0, 0, 85), (255, 0, 34)]])


def test_the_overlay_is_that_of_the_go_tests():
    golden = json.loads(GOLDEN.read_text())
    pixels = np.array(golden["pixels"], np.uint8).reshape(golden["height"], golden["width"], 3)
    painted = overlay.paint(pixels, np.array(golden["cells"]).reshape(golden["cam_height"], golden["cam_width"]))
    assert np.abs(painted.ravel().astype(int) - golden["overlay"]).max() <= 1
