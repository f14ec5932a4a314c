"""Pixels for training and for a bundle's golden posts are those of Hugging Face's processors."""

import numpy as np
import pytest
from PIL import Image

from itr import parity, pictures, towers
from itr.towers import ClipImage, ResNetImage, VitImage


@pytest.mark.parametrize("tower", [VitImage(), ClipImage(), ResNetImage()], ids=lambda tower: tower.kind)
@pytest.mark.parametrize("size", [(640, 480), (333, 501), (224, 224), (5, 4), (1000, 31)])
def test_pixels_are_those_of_the_processor(tower, size):
    noise = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8)
    want = parity.processor(tower)(Image.fromarray(noise), do_rescale=False, do_normalize=False)["pixel_values"][0]
    got = pictures.fit(Image.fromarray(noise), towers.fitting(tower))
    assert got.shape == (224, 224, 3)
    np.testing.assert_array_equal(got, np.moveaxis(np.asarray(want), 0, -1))
