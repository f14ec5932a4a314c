"""A trained checkpoint becomes a bundle: `python -m itr export`.

Float32 graphs come first and must equal the model. Towers in float16, or in int8, are made beside them or from them,
and what that costs is measured against them over posts.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from itr import agreement, bundle, exportable, folder, paper_golden, quantise, row_scales, run
from itr.agreement import Posts
from itr.export_card import SEED, Cost, card, manifest
from itr.exportable import Exportable
from itr.graphs import Parts
from itr.ingredients import CACHE

TOLERANCE = 1e-4  # relative to the largest value above 1
LEAST_COSINE = 0.9  # of the mean embedding, below which smaller numbers are of no use


@dataclass(frozen=True)
class ExportConfig:
    """What a bundle is made of."""

    source: Path  # a published state dict, an imported checkpoint, or what pre-training saved
    tokenizer: Path | None  # folder of the tokenizer's files; None: MiniLM's, fetched
    out: Path
    name: str
    version: str = "1.0.0"
    # The relation of each class of the classifier, whose classes are clusters after pre-training.
    relations: tuple[int, ...] = (0, 1, 2, 3)
    pool: tuple[str, str] | None = None
    half: bool = False  # towers in float16, for accelerators
    int8: bool = False  # towers in int8, for CPUs
    posts: Path | None = None  # what the cost of half and int8 is measured on; None: generated posts
    cache: Path = CACHE  # of packages
    force: bool = False

    @property
    def arithmetic(self) -> str:
        return "float16" if self.half else "int8" if self.int8 else "float32"


@dataclass(frozen=True)
class Exported:
    """What was found out on the way."""

    differences: dict[str, float]  # of float32 graphs from the model, see compare
    cost: Cost | None  # of smaller numbers


def export(config: ExportConfig) -> Exported:
    """Writes the bundle."""
    if config.half and config.int8:
        raise ValueError("--half and --int8: towers have one arithmetic; export twice for two bundles")
    found = exportable.read(config.source, config.tokenizer, config.relations, config.pool, config.cache)
    if config.half and found.half is None:
        raise ValueError(f"{found.variant} is made for CPUs: --int8 makes it smaller, --half does not go with it")
    with (
        folder.fresh(config.out, bundle.MANIFEST, config.force) as work,
        tempfile.TemporaryDirectory(dir=work.parent, prefix=f".{work.name}.") as scratch,
        torch.no_grad(),
    ):
        exact = work if config.arithmetic == "float32" else Path(scratch)
        found.parts.write(exact)
        differences = compare(found.parts, exact)
        if too_far := {name: value for name, value in differences.items() if not value <= TOLERANCE}:
            raise RuntimeError(f"the exported graphs differ from the model by more than {TOLERANCE}: {too_far}")
        cost = None if exact == work else _shrink(config, found, exact, work)
        found.tokenizer.copy(work)
        about = manifest(config, found, differences, cost)
        paper_golden.write(work, run.load(work), found.tokens, about["image"])
        (work / "MODEL_CARD.md").write_text(card(config, found, differences, cost), encoding="utf-8")
        bundle.write(work, about)
    return Exported(differences, cost)


def _shrink(config: ExportConfig, found: Exportable, exact: Path, out: Path) -> Cost:
    """Writes the graphs in float16 or int8, and measures them against the float32 ones in `exact`."""
    ranges, measured = agreement.posts(config.posts, found.tokens, found.pictures).split()
    if config.half:
        found.half().write(out)
    else:
        _int8(found, exact, out, ranges)
    cost = Cost(measured.source, len(measured.ids), agreement.measure(run.load(exact), run.load(out), measured))
    if not cost.figures["mean embedding cosine"] >= LEAST_COSINE:
        raise RuntimeError(
            f"in {config.arithmetic} embeddings have a mean cosine of {cost.figures['mean embedding cosine']:.3f} to "
            f"float32 over {cost.posts} posts ({cost.source}), less than {LEAST_COSINE}; leave the towers in float32"
        )
    return cost


def _int8(found: Exportable, exact: Path, out: Path, ranges: Posts) -> None:
    row_scales.quantise(exact / "text.onnx", out / "text.onnx")
    (out / "head.onnx").write_bytes((exact / "head.onnx").read_bytes())
    texts = {"text": np.zeros((len(ranges.ids), found.parts.text_width), np.float32)}
    for name, others in (("image.onnx", {}), ("explain.onnx", texts)):
        if found.convolutions is None:
            row_scales.quantise(exact / name, out / name)
        else:
            quantise.convolutions(exact / name, out / name, ranges.pixels, others, found.convolutions, found.activation)


def compare(parts: Parts, out: Path) -> dict[str, float]:
    """The largest difference of each output between the graphs in a folder and their modules, as a share of its
    largest value if that is above 1: random inputs of several sizes, each graph fed by the one before it.
    """
    rng, found = np.random.default_rng(SEED), run.load(out)
    worst = dict.fromkeys(("text", "image", "logits", "similarity", "embedding", "cam"), 0.0)
    for length, pictures in ((2, 1), (9, 2), (parts.max_tokens, 1)):
        ids = rng.integers(3, parts.vocabulary - 1, (pictures, length))
        ids[:, -1] = parts.vocabulary - 1  # where CLIP's text ends
        pixels = rng.integers(0, 256, (pictures, parts.side, parts.side, 3), dtype=np.uint8)
        text, image = found.text(ids), found.image(pixels)
        got = (text, image, *found.head(text, image), found.explain(pixels, text))
        want_text = parts.text(torch.from_numpy(ids), torch.ones(ids.shape, dtype=torch.int64))
        want_image = parts.image(torch.from_numpy(pixels))
        cam = parts.explain(torch.from_numpy(pixels), want_text)
        wanted = (want_text, want_image, *parts.head(want_text, want_image), cam)
        for name, value, want in zip(worst, got, wanted, strict=True):
            gap = np.abs(value - want.numpy()).max() / max(1, np.abs(want.numpy()).max())
            worst[name] = max(worst[name], float(gap))
    return worst
