"""What the bundle of a trained checkpoint says of itself: bundle.yaml and MODEL_CARD.md."""

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from itr.agreement import GENERATED
from itr.bundle import LABELS
from itr.exportable import Exportable

if TYPE_CHECKING:
    from itr.paper_export import ExportConfig

SEED = 17  # of random inputs

_TOWERS = {
    "float32": "Towers compute in float32.",
    "float16": "Towers compute in float16, for accelerators; the head and the activation map in float32.",
    "int8": "Towers compute in int8, for CPUs: weights with 7 bits and a scale for each output channel. {scales}",
}
_ROWS = "Activations have a scale for each token and patch, so that a post's scores do not depend on its batch."
_RANGES = (
    "Activations of the text tower have a scale for each token, those of the image tower constant ones, from {source}, "
    "so that a post's scores do not depend on its batch."
)


@dataclass(frozen=True)
class Cost:
    """What towers with smaller numbers cost, see `agreement.measure`."""

    source: str  # of the posts
    posts: int
    figures: dict[str, float]


def manifest(
    config: "ExportConfig", found: Exportable, differences: dict[str, float], cost: Cost | None
) -> dict[str, Any]:
    """Everything of bundle.yaml but the digests."""
    parts = found.parts
    return {
        "format": 1,
        "name": config.name,
        "version": config.version,
        "variant": found.variant,
        "text": {
            "graph": "text.onnx",
            "width": parts.text_width,
            # A rounding that tips over because of padding would be seen in int8.
            "batching": "single" if config.int8 else "padded",
            "max_tokens": parts.max_tokens,
            "tokenizer": found.tokenizer.settings,
        },
        "image": {"graph": "image.onnx", "width": parts.image_width, **found.pictures},
        "head": {"graph": "head.onnx", "embedding": parts.text_width + parts.image_width},
        "explain": {"graph": "explain.onnx", "height": found.cells, "width": found.cells},
        "labels": list(LABELS),
        "calibration": {
            "matrix": np.eye(len(LABELS)).tolist(),
            "bias": [0.0] * len(LABELS),
            "source": "none: probabilities are the softmax of the checkpoint's logits",
        },
        "licences": found.licences,
        "metrics": [
            {
                "name": f"export: largest difference of {name}",
                "value": float(f"{value:.2e}"),
                "data": "random tokens and pixels",
                "split": "none",
                "seeds": [SEED],
                "note": "float32 in ONNX Runtime against float32 in PyTorch, both on the CPU",
            }
            for name, value in differences.items()
        ]
        + [
            {
                "name": f"{config.arithmetic}: {name}",
                "value": float(f"{value:.4g}"),
                "data": f"{cost.posts} posts: {cost.source}",
                "split": "none",
                "seeds": [],
                "note": f"towers in {config.arithmetic} against float32, both in ONNX Runtime on the CPU",
            }
            for name, value in (cost.figures.items() if cost else ())
        ],
    }


def card(config: "ExportConfig", found: Exportable, differences: dict[str, float], cost: Cost | None) -> str:
    """MODEL_CARD.md."""
    template = resources.files("itr").joinpath("paper_card.md").read_text(encoding="utf-8")
    classes = f"Class i of the checkpoint's classifier is taken as relation {list(config.relations)}[i]."
    if found.clustering_head:
        classes = (
            f"The checkpoint's classifier is head{found.clustering_head} of its clustering: **its classes are clusters "
            "in an order of their own.** The paper names them with the help of test labels, or trains a classifier on "
            f"labelled posts. {classes}"
        )
    return template.format(
        name=config.name,
        version=config.version,
        variant=found.variant,
        source=found.origin,
        classes=classes,
        pooling=found.pooling,
        differences="\n".join(f"| {name} | {value:.1e} |" for name, value in differences.items()),
        arithmetic=_arithmetic(config, found, cost),
    )


def _arithmetic(config: "ExportConfig", found: Exportable, cost: Cost | None) -> str:
    if cost is None:
        return _TOWERS["float32"]
    scales = _ROWS if found.convolutions is None else _RANGES.format(source=cost.source)
    rows = "\n".join(f"| {name} | {value:.4g} |" for name, value in cost.figures.items())
    doubt = (
        "\n\nGenerated posts are unlike real ones, and their logits lie closer together than those of posts that the "
        "checkpoint knows: relations change more often here. Give `itr export` posts of your own with `--posts`."
        if cost.source == GENERATED
        else ""
    )
    return (
        f"{_TOWERS[config.arithmetic].format(scales=scales)} What that costs, against the float32 graphs over "
        f"{cost.posts} posts ({cost.source}):\n\n| figure | value |\n|---|---|\n{rows}{doubt}"
    )
