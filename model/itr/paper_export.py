"""A published or imported two-tower checkpoint becomes a bundle: `python -m itr export`."""

from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch

from itr import bundle, checkpoint, folder, graphs, paper_golden, run, towers, vocabulary
from itr.bundle import LABELS
from itr.checkpoint import Checkpoint
from itr.reading import Words
from itr.two_tower import TwoTower, TwoTowerModel
from itr.vocabulary import Vocabulary

TOLERANCE = {False: 1e-4, True: 3e-2}  # by half; relative to the largest value above 1
SEED = 17


@dataclass(frozen=True)
class ExportConfig:
    """What a bundle is made of."""

    source: Path  # a published state dict or an imported checkpoint
    tokenizer: Path  # folder of the tokenizer's files
    out: Path
    name: str
    version: str = "1.0.0"
    # The relation of each class of the classifier, whose classes are clusters after pre-training.
    relations: tuple[int, ...] = (0, 1, 2, 3)
    pool: tuple[str, str] | None = None
    half: bool = False  # towers in float16, for accelerators
    force: bool = False


def export(config: ExportConfig) -> dict[str, float]:
    """Writes the bundle, and returns by how much its graphs differ from the model."""
    if sorted(config.relations) != [0, 1, 2, 3]:
        raise ValueError(f"--relations must name each of 0, 1, 2, 3 once, not {','.join(map(str, config.relations))}")
    found = checkpoint.load(config.source, config.pool)
    check(found)
    words = vocabulary.find(config.tokenizer, found.variant.text)
    found = _ordered(found, config.relations)
    with folder.fresh(config.out, bundle.MANIFEST, config.force) as work, torch.no_grad():
        model = found.build(attention="eager")  # the plainest graph
        graphs.export(model, work, config.half)
        differences = compare(model, work)
        limit = TOLERANCE[config.half]
        if too_far := {name: value for name, value in differences.items() if not value <= limit}:
            raise RuntimeError(f"the exported graphs differ from the model by more than {limit}: {too_far}")
        words.copy(work)
        about = manifest(config, found, words, differences)
        paper_golden.write(work, run.load(work), Words(config.tokenizer, found.variant.text), about["image"])
        (work / "MODEL_CARD.md").write_text(card(config, found, differences), encoding="utf-8")
        bundle.write(work, about)
    return differences


def check(found: Checkpoint) -> None:
    """ValueError when no bundle can be made of the checkpoint."""
    variant = found.variant
    if not isinstance(variant, TwoTower):
        raise ValueError(
            f"{variant.name} reads text and regions in one tower: it cannot be exported, only used from Python"
        )
    if variant.classes != len(LABELS):
        raise ValueError(f"the classifier has {variant.classes} classes, a bundle needs {len(LABELS)}")
    if variant.pool_image == "mean":
        raise ValueError(
            "an image tower that pools by the mean has no activation map in closed form; import it with cls"
        )


def compare(model: TwoTowerModel, out: Path) -> dict[str, float]:
    """The largest difference of each output between the graphs in a folder and the model, as a share of its largest
    value if that is above 1: random inputs of several sizes, each graph fed by the one before it.
    """
    rng, found, variant = np.random.default_rng(SEED), run.load(out), model.variant
    worst = dict.fromkeys(("text", "image", "logits", "similarity", "embedding", "cam"), 0.0)
    image_graph, explain_graph = graphs.ImageGraph(model).eval(), graphs.ExplainGraph(model).eval()
    for length, pictures in ((2, 1), (9, 2), (variant.text.max_tokens, 1)):
        ids = rng.integers(3, variant.text.vocabulary - 1, (pictures, length))
        ids[:, -1] = variant.text.vocabulary - 1  # where CLIP's text ends
        pixels = rng.integers(0, 256, (pictures, variant.image.side, variant.image.side, 3), dtype=np.uint8)
        text, image = found.text(ids), found.image(pixels)
        logits, similarity, embedding = found.head(text, image)
        want_text = model.text(torch.from_numpy(ids), torch.ones(ids.shape, dtype=torch.int64))
        want_image = image_graph(torch.from_numpy(pixels))
        related = model.relate(want_text, want_image)
        for name, got, want in (
            ("text", text, want_text),
            ("image", image, want_image),
            ("logits", logits, related.logits),
            ("similarity", similarity, related.similarity),
            ("embedding", embedding, torch.nn.functional.normalize(related.joint, dim=-1)),
            ("cam", found.explain(pixels, text), explain_graph(torch.from_numpy(pixels), want_text)),
        ):
            gap = np.abs(got - want.numpy()).max() / max(1, np.abs(want.numpy()).max())
            worst[name] = max(worst[name], float(gap))
    return worst


def manifest(
    config: ExportConfig, found: Checkpoint, words: Vocabulary, differences: dict[str, float]
) -> dict[str, Any]:
    """Everything of bundle.yaml but the digests."""
    text, image = found.variant.text, found.variant.image
    return {
        "format": 1,
        "name": config.name,
        "version": config.version,
        "variant": found.variant.name,
        "text": {
            "graph": "text.onnx",
            "width": text.width,
            "batching": "padded",
            "max_tokens": text.max_tokens,
            "tokenizer": words.settings,
        },
        "image": {
            "graph": "image.onnx",
            "width": image.width,
            **towers.fitting(image),
            "exif": "ignore",  # the public code opens pictures with Pillow and does not turn them
            "mean": [round(255 * value, 6) for value in image.preprocessing.mean],
            "std": [round(255 * value, 6) for value in image.preprocessing.std],
        },
        "head": {"graph": "head.onnx", "embedding": text.width + image.width},
        "explain": {"graph": "explain.onnx", "height": image.cells, "width": image.cells},
        "labels": list(LABELS),
        "calibration": {
            "matrix": np.eye(len(LABELS)).tolist(),
            "bias": [0.0] * len(LABELS),
            "source": "none: probabilities are the softmax of the checkpoint's logits",
        },
        "licences": [
            {
                "part": "weights",
                "source": found.source,
                "licence": "unknown: the method's public repository states none; ask its authors before passing it on",
            },
            {
                "part": "tokenizer files",
                "source": ", ".join(words.files),
                "licence": "that of the encoder they belong to",
            },
        ],
        "metrics": [
            {
                "name": f"export: largest difference of {name}",
                "value": float(f"{value:.2e}"),
                "data": "random tokens and pixels",
                "split": "none",
                "seeds": [SEED],
                "note": f"{_arithmetic(config)} in ONNX Runtime against float32 in PyTorch, both on the CPU",
            }
            for name, value in differences.items()
        ],
    }


def card(config: ExportConfig, found: Checkpoint, differences: dict[str, float]) -> str:
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
        variant=found.variant.name,
        source=found.source,
        classes=classes,
        pooling=""
        if not found.legacy
        else f"Legacy pooling: text {found.variant.pool_text}, image {found.variant.pool_image}.",
        arithmetic=_arithmetic(config),
        differences="\n".join(f"| {name} | {value:.1e} |" for name, value in differences.items()),
    )


def _arithmetic(config: ExportConfig) -> str:
    return "towers in float16" if config.half else "float32"


def _ordered(found: Checkpoint, relations: tuple[int, ...]) -> Checkpoint:
    """The classifier's rows where their relations stand."""
    order = [relations.index(relation) for relation in range(len(relations))]
    rows = {key: found.state[key][order] for key in ("classifier.weight", "classifier.bias")}
    return replace(found, state=found.state | rows)
