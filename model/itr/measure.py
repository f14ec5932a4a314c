"""Measures a built bundle by its own graphs: composed and written test posts, captioned photographs, agreement of int8
with floats, time, row independence.
"""

import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from itr import evaluate, image_tower, measure_posts, relation, render, text_tower, wordpieces
from itr.calibrate import Calibration
from itr.config import MiniConfig
from itr.run import Graphs

if TYPE_CHECKING:
    from itr.encoding import Encoded
    from itr.mini import Material

_HARD_TEXT = (
    "Can't believe it is Friday already, my {x} and I are heading home to see the family before the big weekend #tgif",
    "Today in 1987 the first {x} was shown to the public, and nothing was ever the same again. #history",
    "Thanks to everyone who came out last night, what a crowd! The {x} stole the show as usual",
    "I have been working on this for three weeks and finally finished the {x}. So proud of it!",
    "New study says people who spend time with a {x} live longer and sleep better",
)


def measure(
    heads: list[relation.Relation],
    calibrations: list[Calibration],
    encoded: "Encoded",
    material: "Material",
    graphs: Graphs,
    floats: Graphs,
    config: MiniConfig,
    vocab: Path,
) -> dict[str, float | list[float]]:
    """All figures of the card by name. A list holds one value a head seed."""
    tokens = wordpieces.tokenizer(vocab)
    ids = lambda texts: [wordpieces.ids(tokens, text, config.max_tokens) for text in texts]  # noqa: E731
    composed, posts = encoded.composed, encoded.written
    figures: dict[str, float | list[float]] = {}
    figures |= measure_posts.labels("composed", heads, calibrations, composed["train"], composed["test"])
    figures |= measure_posts.labels("written", heads, calibrations, posts["train"], posts["test"])
    reporting = posts["test"].rows(encoded.reporting)
    figures |= measure_posts.labels("reporting", heads, calibrations, posts["train"], reporting)
    figures |= measure_posts.certainty(heads[0], calibrations[0], posts["test"])
    figures |= _captions(material, graphs, ids, config)
    figures |= _areas(material, graphs, config)
    figures |= _fidelity(heads[0], calibrations[0], material, graphs, floats, ids, config)
    return figures | _independence(material, graphs, ids, config)


def _captions(material: "Material", graphs: Graphs, ids: Callable, config: MiniConfig) -> dict[str, float]:
    """Matching of photographs (no cut-outs) with their captions and with long posts that name their subject among
    much else.

    The agreement is trained on none of them, but its constants were chosen while looking at these figures.
    """
    rng = Random(config.seed)
    chosen = [photo for photo in material.photos if not photo.cutout]
    pixels = np.stack(
        [render.scene(photo.image, material.backdrops[0], rng).pixels(config.image_side) for photo in chosen]
    )
    image = graphs.image(pixels)
    found = {}
    for kind, texts in (
        ("captions", [photo.caption for photo in chosen]),
        ("long posts", [rng.choice(_HARD_TEXT).replace("{x}", photo.name) for photo in chosen]),
    ):
        text = graphs.text(ids(texts))
        pairs = [graphs.head(np.repeat(row[None], len(image), 0), image) for row in text]
        names = [photo.name for photo in chosen]
        found[f"photographs, {kind}: AUROC of similarity"] = evaluate.matched_against_mismatched(
            np.stack([p[1] for p in pairs]), names, config.seed
        )
        found[f"photographs, {kind}: AUROC of lt"] = evaluate.matched_against_mismatched(
            np.stack([p[0][:, 2] for p in pairs]), names, config.seed
        )
    return found


def _areas(material: "Material", graphs: Graphs, config: MiniConfig) -> dict[str, float]:
    canvases = list(material.composer("test", f"areas {config.seed}", 0.0).canvases(400))
    image = graphs.image(np.stack([canvas.pixels(config.image_side) for canvas in canvases]))
    some = image[:, image_tower.WIDTH + image_tower.CLASSES]
    cover = np.array([canvas.cells().mean() for canvas in canvases])
    return {"added text: AUROC of the text-area share": evaluate.auroc(some[cover > 0.02], some[cover == 0])}


def _fidelity(
    head: relation.Relation,
    calibration: Calibration,
    material: "Material",
    graphs: Graphs,
    floats: Graphs,
    ids: Callable,
    config: MiniConfig,
) -> dict[str, float]:
    """int8 against the float graphs of the same towers."""
    posts = list(material.composer("test", f"fidelity {config.seed}", 0.25).posts(320))
    rows, pixels = (
        ids([post.text for post in posts]),
        np.stack([post.canvas.pixels(config.image_side) for post in posts]),
    )
    text, image = (graphs.text(rows), floats.text(rows)), (graphs.image(pixels), floats.image(pixels))
    labels = [
        calibration.probabilities(relation.logits(head, t, i)).argmax(1) for t, i in zip(text, image, strict=True)
    ]
    classes = slice(image_tower.WIDTH, image_tower.WIDTH + image_tower.CLASSES)
    return {
        "int8: label agreement": float((labels[0] == labels[1]).mean()),
        "int8: text cosine": _cosine(text[0][:, : text_tower.WIDTH], text[1][:, : text_tower.WIDTH]),
        "int8: pooled cosine": _cosine(image[0][:, : image_tower.WIDTH], image[1][:, : image_tower.WIDTH]),
        "int8: top class agreement": float((image[0][:, classes].argmax(1) == image[1][:, classes].argmax(1)).mean()),
    }


def times(graphs: Graphs, floats: Graphs) -> dict[str, float]:
    """Milliseconds on one thread, and the int8 graphs' share of the float graphs' time; for a text of 24 pieces."""
    rng = np.random.default_rng(0)
    ids, pixels = (
        [[101, *rng.integers(1996, 20_000, 22).tolist(), 102]],
        rng.integers(0, 256, (8, 224, 224, 3), np.uint8),
    )
    text, image = graphs.text(ids), graphs.image(pixels[:1])
    found = {}
    for name, call in {"text": lambda g: g.text(ids), "image": lambda g: g.image(pixels[:1])}.items():
        fast, slow = _milliseconds(lambda: call(graphs)), _milliseconds(lambda: call(floats))  # noqa: B023
        found |= {f"{name} int8 ms": fast, f"{name} int8 to float": fast / slow}
    found["image int8 ms a picture at batch 8"] = _milliseconds(lambda: graphs.image(pixels)) / 8
    found["head ms"] = _milliseconds(lambda: graphs.head(text, image))
    found["explain ms"] = _milliseconds(lambda: graphs.explain(pixels[:1], text))
    return found


def _independence(material: "Material", graphs: Graphs, ids: Callable, config: MiniConfig) -> dict[str, float]:
    """Largest difference between a row alone and the same row among 31 others, over all outputs."""
    posts = list(material.composer("test", f"rows {config.seed}", 0.25).posts(32))
    pixels = np.stack([post.canvas.pixels(config.image_side) for post in posts])
    rows = ids([post.text for post in posts])
    text, image = graphs.text(rows), graphs.image(pixels, batch=32)
    together = [image, *graphs.head(text, image), graphs.explain(pixels, text)]
    worst = 0.0
    for i in range(len(posts)):
        alone_text, alone_image = graphs.text([rows[i]]), graphs.image(pixels[i : i + 1])
        alone = [alone_image, *graphs.head(alone_text, alone_image), graphs.explain(pixels[i : i + 1], alone_text)]
        worst = max(
            worst,
            float(np.abs(alone_text[0] - text[i]).max()),
            *(float(np.abs(a[0] - b[i]).max()) for a, b in zip(alone, together, strict=True)),
        )
    return {"rows: largest difference alone and among 31 others": worst}


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).mean())


def _milliseconds(call: Callable[[], object], rounds: int = 40) -> float:
    """The fastest of several: what else the machine does only adds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)
