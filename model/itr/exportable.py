"""What a bundle can be made of, read from a checkpoint: a published variant, or pre-trained MiniLM and
EfficientNet-Lite0.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from itr import checkpoint, graphs, mini_graphs, mini_towers, vocabulary
from itr.bundle import LABELS
from itr.checkpoint import Checkpoint, State
from itr.graphs import Parts
from itr.reading import Words
from itr.towers import Preprocessing
from itr.two_tower import TwoTower
from itr.vocabulary import Vocabulary

BERTWEET_TOKENS = 128  # its 130 positions count from 2


@dataclass(frozen=True)
class Exportable:
    """A model, its tokenizer, and how it wants pictures."""

    variant: str
    origin: str  # the checkpoint's file and digest
    parts: Parts
    half: Callable[[], Parts] | None  # the parts with towers in float16; None where there are none
    convolutions: tuple[str, ...] | None  # of a ConvNet: the layers that int8 leaves in float32
    activation: str  # the ConvNet's, as ONNX names it
    tokens: Callable[[str], list[int]]
    tokenizer: Vocabulary
    pictures: dict[str, Any]  # the manifest's settings of the image tower, but graph and width
    cells: int  # a side of the activation map
    clustering_head: int | None
    pooling: str  # a sentence for the card, of legacy checkpoints
    licences: list[dict[str, str]]


def read(
    source: Path, tokenizer: Path | None, relations: tuple[int, ...], pool: tuple[str, str] | None, cache: Path
) -> Exportable:
    """The checkpoint with its classes in the order of relations. ValueError says why it cannot be a bundle."""
    if sorted(relations) != [0, 1, 2, 3]:
        raise ValueError(f"--relations must name each of 0, 1, 2, 3 once, not {','.join(map(str, relations))}")
    if source.is_file() and mini_towers.MARK in (state := checkpoint.read_state(source)):
        if pool:
            raise ValueError("--pool goes with checkpoints of the legacy class only; this one pools by means")
        return _mini(source, state, tokenizer, relations, cache)
    found = checkpoint.load(source, pool)
    check(found)
    if tokenizer is None:
        raise ValueError("a checkpoint carries no tokenizer: name the folder of its files with --tokenizer")
    return _published(replace(found, state=_ordered(found.state, relations)), tokenizer)


def check(found: Checkpoint) -> None:
    """ValueError when no bundle can be made of the checkpoint."""
    variant = found.variant
    if not isinstance(variant, TwoTower):
        raise ValueError(
            f"{variant.name} reads text and regions in one tower: it cannot be exported, only used from Python"
        )
    _check_classes(variant.classes)
    if variant.pool_image == "mean":
        raise ValueError(
            "an image tower that pools by the mean has no activation map in closed form; import it with cls"
        )


def _published(found: Checkpoint, tokenizer: Path) -> Exportable:
    text, image = found.variant.text, found.variant.image
    files = vocabulary.find(tokenizer, text)
    if files.settings["type"] == "bertweet" and text.max_tokens > BERTWEET_TOKENS:
        raise ValueError(
            f"the text tower has {text.positions} positions, BERTweet has {BERTWEET_TOKENS + 2} and reads at most "
            f"{BERTWEET_TOKENS} tokens: the tokenizer in {tokenizer} is not that of this checkpoint"
        )
    words = Words(tokenizer, text)
    model = found.build(attention="eager")  # the plainest graph
    legacy = f"Legacy pooling: text {found.variant.pool_text}, image {found.variant.pool_image}."
    return Exportable(
        variant=found.variant.name,
        origin=found.source,
        parts=graphs.parts(model),
        half=lambda: graphs.parts(model, half=True),
        # The first layer reads pixels in float32, as everywhere.
        convolutions=("embedder.embedder.convolution",) if image.kind == "resnet" else None,
        activation="Relu",
        tokens=lambda line: words([line], torch.device("cpu"))[0][0].tolist(),
        tokenizer=files,
        pictures=_pictures(image.preprocessing, image.side),
        cells=image.cells,
        clustering_head=found.clustering_head,
        pooling=legacy if found.legacy else "",
        licences=[
            {
                "part": "weights",
                "source": found.source,
                "licence": "unknown: the method's public repository states none; ask its authors before passing it on",
            },
            {
                "part": "tokenizer files",
                "source": ", ".join(files.files),
                "licence": "that of the encoder they belong to",
            },
        ],
    )


def _mini(source: Path, state: State, tokenizer: Path | None, relations: tuple[int, ...], cache: Path) -> Exportable:
    vocab = tokenizer / "vocab.txt" if tokenizer else mini_towers.vocabulary(cache)
    if not vocab.is_file():
        raise ValueError(f"{tokenizer} has no vocab.txt, which the tokenizer wordpiece needs")
    _check_classes(len(state["classifier.weight"]))
    heads = (i for i in (1, 2, 3) if torch.equal(state[f"head{i}.weight"], state["classifier.weight"]))
    model = mini_towers.restored(_ordered(state, relations), vocab)
    settings = Preprocessing("bilinear", "squash", None, (127 / 255,) * 3, (128 / 255,) * 3)
    return Exportable(
        variant=mini_towers.NAME,
        origin=checkpoint.origin(source),
        parts=mini_graphs.parts(model),
        half=None,
        convolutions=mini_graphs.FLOAT_LAYERS,
        activation="Clip",
        tokens=lambda line: model.tokens(line, truncation=True, max_length=mini_towers.MAX_TOKENS)["input_ids"],
        tokenizer=Vocabulary(vocab.parent, {"type": "wordpiece", "vocab": "vocab.txt", "lowercase": True}),
        pictures=_pictures(settings, mini_towers.SIDE),
        cells=mini_graphs.CELLS,
        clustering_head=next(heads, None),
        pooling="",
        licences=[
            {
                "part": "towers and vocabulary",
                "source": "all-MiniLM-L6-v2 and EfficientNet-Lite0, trained on",
                "licence": "Apache-2.0; posts that trained them may set terms of their own",
            }
        ],
    )


def _pictures(how: Preprocessing, side: int) -> dict[str, Any]:
    edge = {} if how.shortest_edge is None else {"shortest_edge": how.shortest_edge}
    return {
        "height": side,
        "width_pixels": side,
        "resize": how.resize,
        "fit": how.fit,
        **edge,
        "exif": "ignore",  # training opens pictures with Pillow and does not turn them
        "mean": [round(255 * value, 6) for value in how.mean],
        "std": [round(255 * value, 6) for value in how.std],
    }


def _check_classes(classes: int) -> None:
    if classes != len(LABELS):
        raise ValueError(f"the classifier has {classes} classes, a bundle needs {len(LABELS)}")


def _ordered(state: State, relations: tuple[int, ...]) -> State:
    """The classifier's rows where their relations stand."""
    order = [relations.index(relation) for relation in range(len(relations))]
    return state | {key: state[key][order] for key in ("classifier.weight", "classifier.bias")}
