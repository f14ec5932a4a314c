"""Log files with the keys of the paper's code, and what no test label has helped beside them."""

from pathlib import Path
from typing import Any

from itr.folder import write_json
from itr.protocols import Curve


def report(paper: Curve, honest: Curve) -> dict[str, Any]:
    """The paper's figure (best on test), the last one, and the one at the iteration that dev labels choose."""
    return {"paper": paper.paper(), "last": honest.last(), "dev_selected": honest.dev_selected()}


def log(path: Path, settings: dict[str, Any], curve: Curve, summary: dict[str, Any], **more: Any) -> None:
    """config, f1s_t, f1s_v, f1s_tv, flags_t, flags_v, flags_tv as lists over iterations, then `more` and "honest"."""
    honest = {name: summary[name] for name in ("last", "dev_selected")}
    write_json(path, {"config": settings, **curve.log(), **more, "honest": honest})
