"""Figures of a run as PNG files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from itr.bundle import LABELS
from itr.folder import replacing
from itr.protocols import Curve

_PARTS = {"t": "text represented", "v": "image adds", "tv": "relation"}


def curve(path: Path, scores: Curve, title: str, step: str = "iteration") -> None:
    """Test F1 by step for both parts and the relation; marks show the steps that test and dev labels would choose."""
    figure = _figure(title)
    axes = figure.axes[0]
    steps = range(1, len(scores.test) + 1)
    for part, name in _PARTS.items():
        values = [100 * one.f1[part] for one in scores.test]
        if any(values):
            axes.plot(steps, values, marker=".", label=name)
    for chosen, style, name in ((scores.paper(), "v", "best on test"), (scores.dev_selected(), "o", "chosen on dev")):
        if chosen is not None and "iteration" in chosen:
            spot = {"marker": style, "s": 90, "facecolors": "none", "edgecolors": "black", "label": name, "zorder": 3}
            axes.scatter([chosen["iteration"]], [100 * chosen["tv"]], **spot)
    axes.set_xlabel(step)
    axes.set_ylabel("weighted F1, %")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    _save(figure, path)


def confusion_counts(true: Sequence[int], predicted: Sequence[int]) -> np.ndarray:
    """int [4, 4]: row is the label, column the prediction."""
    counts = np.zeros((len(LABELS), len(LABELS)), int)
    np.add.at(counts, (np.asarray(true), np.asarray(predicted)), 1)
    return counts


def confusion(path: Path, true: Sequence[int], predicted: Sequence[int], title: str) -> None:
    """Counts of label against prediction, shaded by the share of the label's row."""
    counts = confusion_counts(true, predicted)
    figure = _figure(title)
    axes = figure.axes[0]
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=color)
    names = [label.replace("_", "\n") for label in LABELS]
    axes.set_xticks(range(len(LABELS)), names, fontsize="small")
    axes.set_yticks(range(len(LABELS)), names, fontsize="small")
    axes.set_xlabel("predicted")
    axes.set_ylabel("label")
    _save(figure, path)


def _figure(title: str) -> Figure:
    # Without pyplot, which keeps figures and looks for a screen.
    figure = Figure(figsize=(6, 4.5), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    figure.add_subplot().set_title(title)
    return figure


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as part:
        figure.savefig(part, format="png", metadata={"Software": None})
