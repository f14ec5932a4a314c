"""An activation map painted over its picture as in the paper's figures, and exactly as the Go package paints it.

The map, scaled to 0…1 and enlarged, in the colours of JET, plus the picture, divided by the brightest value. No torch.
"""

import numpy as np


def paint(pixels: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """uint8 [H,W,3] under a map [h,w] → uint8 [H,W,3]."""
    sums = jet(enlarged(cells, *pixels.shape[:2])) + pixels / 255
    return np.floor(255 * sums / max(sums.max(), 1e-9) + 0.5).astype(np.uint8)


def enlarged(cells: np.ndarray, height: int, width: int) -> np.ndarray:
    """[h,w] → [height,width], scaled to 0…1 and bilinear. A map without differences is all zeros."""
    low, high = float(cells.min()), float(cells.max())
    if high <= low:
        return np.zeros((height, width))
    scaled = (cells.astype(np.float64) - low) / (high - low)
    return _between(height, cells.shape[0]) @ scaled @ _between(width, cells.shape[1]).T


def _between(outputs: int, inputs: int) -> np.ndarray:
    """[outputs, inputs]: how much of each cell is in each pixel, by the distances of their centres."""
    at = (np.arange(outputs) + 0.5) * inputs / outputs - 0.5
    return np.maximum(0, 1 - np.abs(np.clip(at, 0, inputs - 1)[:, None] - np.arange(inputs)))


def jet(values: np.ndarray) -> np.ndarray:
    """0…1 → red, green, blue [...,3]: blue, cyan, yellow, red."""
    return np.clip(1.5 - np.abs(4 * values[..., None] - np.array([3, 2, 1])), 0, 1)
