"""The figure of `itr cam`: the picture, its heat maps, and bars of what the words of the text contribute."""

import warnings
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from itr import overlay
from itr.bundle import LABELS
from itr.explain import Explanation
from itr.folder import replacing

_WORDS = 16  # the strongest; more would not be legible
_PANEL = 2.6  # inches


def draw(path: Path, found: Explanation, relations: list[int]) -> None:
    """Writes a PNG with one heat map for each of `relations`; the words' bars are for the first."""
    figure = Figure(figsize=(_PANEL * (len(relations) + 2), _PANEL + 0.5), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)  # without pyplot, which keeps figures and looks for a screen
    panels = figure.subplots(1, len(relations) + 2)
    _picture(panels[0], found.pixels, "picture")
    for panel, relation in zip(panels[1:], relations, strict=False):
        heat = overlay.paint(found.pixels, found.maps[relation])
        _picture(panel, heat, f"{LABELS[relation]} {found.scores[relation]:.2f}")
    _bars(panels[-1], found, relations[0])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # of scripts beyond the font's
        with replacing(path) as part:
            figure.savefig(part, format="png", metadata={"Software": None})


def _picture(panel: Axes, pixels, title: str) -> None:
    panel.imshow(pixels)
    panel.set_title(title, fontsize="small")
    panel.set_axis_off()


def _bars(panel: Axes, found: Explanation, relation: int) -> None:
    rows = found.strongest(relation, _WORDS)
    values = found.by_word[rows, relation]
    panel.barh(range(len(rows)), values, color=["tab:red" if value > 0 else "tab:blue" for value in values])
    # A dollar sign would start a formula.
    names = [found.words[row][:24].replace("$", r"\$") for row in rows]
    panel.set_yticks(range(len(rows)), names, fontsize="x-small")
    panel.invert_yaxis()
    panel.axvline(0, color="black", linewidth=0.6)
    panel.tick_params(axis="x", labelsize="x-small")
    panel.set_title(f"words for {LABELS[relation]}, in logits", fontsize="small")
