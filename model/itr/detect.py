"""Which variant a state dict is: read from its keys and shapes, since published checkpoints carry no configuration."""

import re
from collections.abc import Mapping

from itr.single_tower import Lxmert, VisualBert
from itr.towers import (
    HEAD_WIDTH,
    BertText,
    ClipImage,
    ClipText,
    ImageTower,
    ResNetImage,
    RobertaText,
    TextTower,
    VitImage,
)
from itr.two_tower import TwoTower

Shapes = Mapping[str, tuple[int, ...]]
Variant = TwoTower | VisualBert | Lxmert

# Rows of the word embeddings, which tell apart what has the same modules.
_TEXTS = {30522: BertText, 50265: RobertaText, 64001: RobertaText}


class Unplaced(ValueError):
    """A state dict that is no known variant; the message lists the keys at fault."""


def detect(shapes: Shapes) -> Variant:
    """The variant of published keys, with a ViT's modules named as in transformers 5. Unplaced when a telling key is
    missing.
    """
    read = _Reader(shapes)
    heads = {
        "classes": read.rows("classifier.weight"),
        "projection": read.rows("proj_t.weight"),
    }
    if any(key.startswith("encoder.") for key in shapes):
        return _lxmert(read, heads) if read.has("encoder.encoder.visn_fc.") else _visual_bert(read, heads)
    return TwoTower(text=_text(read), image=_image(read), **heads)


def _text(read: "_Reader") -> TextTower:
    at = "encoder_t."
    if read.has(f"{at}embeddings.token_embedding."):
        return ClipText(
            vocabulary=read.rows(f"{at}embeddings.token_embedding.weight"),
            positions=read.rows(f"{at}embeddings.position_embedding.weight"),
            width=_whole_heads(read.columns(f"{at}embeddings.token_embedding.weight"), "encoder_t"),
            layers=read.count(f"{at}encoder.layers."),
            inner=read.rows(f"{at}encoder.layers.0.mlp.fc1.weight"),
        )
    sizes = _bert_sizes(read, at)
    tower = _TEXTS.get(sizes["vocabulary"])
    if tower is None:
        raise Unplaced(
            f"encoder_t.embeddings.word_embeddings.weight has {sizes['vocabulary']} rows; known are 30522 (BERT), "
            "50265 (RoBERTa) and 64001 (BERTweet)"
        )
    return tower(**sizes, layers=read.count(f"{at}encoder.layer."))


def _image(read: "_Reader") -> ImageTower:
    at = "encoder_v."
    if read.has(f"{at}embeddings.class_embedding"):
        projection = read.shape(f"{at}embeddings.patch_embedding.weight", 4)
        return ClipImage(
            width=_whole_heads(projection[0], "encoder_v"),
            layers=read.count(f"{at}encoder.layers."),
            inner=read.rows(f"{at}encoder.layers.0.mlp.fc1.weight"),
            patch=projection[3],
            side=_side(read.rows(f"{at}embeddings.position_embedding.weight"), projection[3]),
        )
    if read.has(f"{at}embedder."):
        stages = range(read.count(f"{at}encoder.stages."))
        return ResNetImage(
            stem=read.rows(f"{at}embedder.embedder.convolution.weight"),
            widths=tuple(read.rows(f"{at}encoder.stages.{i}.layers.0.layer.2.convolution.weight") for i in stages),
            depths=tuple(read.count(f"{at}encoder.stages.{i}.layers.") for i in stages),
        )
    if read.has(f"{at}conv1."):
        raise Unplaced(
            "encoder_v is a torchvision network of the legacy class (encoder_v.conv1…), which has no counterpart here: "
            + read.list(f"{at}conv1.", f"{at}bn1.")
        )
    projection = read.shape(f"{at}embeddings.patch_embeddings.projection.weight", 4)
    return VitImage(
        width=_whole_heads(projection[0], "encoder_v"),
        layers=read.count(f"{at}layers."),
        inner=read.rows(f"{at}layers.0.mlp.fc1.weight"),
        patch=projection[3],
        side=_side(read.shape(f"{at}embeddings.position_embeddings", 3)[1], projection[3]),
    )


def _visual_bert(read: "_Reader", heads: dict[str, int]) -> VisualBert:
    return VisualBert(
        **_bert_sizes(read, "encoder."),
        layers=read.count("encoder.encoder.layer."),
        features=read.columns("encoder.embeddings.visual_projection.weight"),
        **heads,
    )


def _lxmert(read: "_Reader", heads: dict[str, int]) -> Lxmert:
    return Lxmert(
        **_bert_sizes(read, "encoder."),
        text_layers=read.count("encoder.encoder.layer."),
        image_layers=read.count("encoder.encoder.r_layers."),
        cross_layers=read.count("encoder.encoder.x_layers."),
        features=read.columns("encoder.encoder.visn_fc.visn_fc.weight"),
        **heads,
    )


def _bert_sizes(read: "_Reader", at: str) -> dict[str, int]:
    words = read.shape(f"{at}embeddings.word_embeddings.weight", 2)
    return {
        "vocabulary": words[0],
        "positions": read.rows(f"{at}embeddings.position_embeddings.weight"),
        "types": read.rows(f"{at}embeddings.token_type_embeddings.weight"),
        "width": _whole_heads(words[1], at.rstrip(".")),
        "inner": read.rows(f"{at}encoder.layer.0.intermediate.dense.weight"),
    }


def _whole_heads(width: int, tower: str) -> int:
    if width % HEAD_WIDTH:
        raise Unplaced(f"{tower} is {width} wide, which is no multiple of {HEAD_WIDTH}: its heads cannot be told")
    return width


def _side(positions: int, patch: int) -> int:
    cells = round((positions - 1) ** 0.5)
    if cells * cells != positions - 1:
        raise Unplaced(f"encoder_v has {positions} positions, which is no square and the class token")
    return cells * patch


class _Reader:
    """Shapes by key; what is missing is an error that names it."""

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes

    def has(self, start: str) -> bool:
        return any(key.startswith(start) for key in self._shapes)

    def shape(self, key: str, dimensions: int) -> tuple[int, ...]:
        if key not in self._shapes:
            raise Unplaced(f"{key} is missing; the file holds {self.list('')}")
        found = tuple(self._shapes[key])
        if len(found) != dimensions:
            raise Unplaced(f"{key} has shape {list(found)}, not {dimensions} dimensions")
        return found

    def rows(self, key: str) -> int:
        if key not in self._shapes or not self._shapes[key]:
            return self.shape(key, 2)[0]
        return self._shapes[key][0]

    def columns(self, key: str) -> int:
        return self.shape(key, 2)[1]

    def count(self, start: str) -> int:
        """How many numbered modules follow start."""
        found = {int(m.group(1)) for key in self._shapes if (m := re.match(re.escape(start) + r"(\d+)\.", key))}
        if not found:
            raise Unplaced(f"{start}0… is missing; the file holds {self.list(start.split('.')[0])}")
        return max(found) + 1

    def list(self, *starts: str) -> str:
        return listed([key for key in self._shapes if key.startswith(starts)])


def listed(keys: list[str]) -> str:
    """The keys for a message."""
    return ", ".join(keys) or "no such key"
