"""Pixels for a bundle's golden posts are those that training reads."""

import numpy as np
import pytest
from PIL import Image

from itr import pictures
from itr.reading import pixels
from itr.towers import ClipImage, ResNetImage, VitImage


@pytest.mark.parametrize("tower", [VitImage(), ClipImage(), ResNetImage()], ids=lambda tower: tower.kind)
@pytest.mark.parametrize("size", [(640, 480), (333, 501), (224, 224), (3, 5), (1000, 31)])
def test_both_ways_to_pixels_agree(tower, size):
    noise = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8)
    how = tower.preprocessing
    settings = {"width_pixels": 224, "height": 224, "resize": how.resize, "fit": how.fit}
    got = pictures.fit(Image.fromarray(noise), settings | {"shortest_edge": how.shortest_edge})
    assert got.shape == (224, 224, 3)
    np.testing.assert_array_equal(got, pixels(Image.fromarray(noise), 224, how))
