"""What smaller numbers cost: how far a bundle's graphs agree with the float32 graphs they come from, over posts."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from itr import pairs, pictures, specimens
from itr.run import Graphs

RANGES, MEASURED = 64, 128  # posts that give a ConvNet's int8 its ranges, and others that are measured
_MAPS = 16  # posts whose activation maps are compared, too: each takes another run of the image tower
_SEED = 23
GENERATED = "generated posts"


@dataclass(frozen=True)
class Posts:
    """Posts as towers take them."""

    source: str  # where they come from, for the card
    ids: list[list[int]]
    pixels: np.ndarray  # uint8 [N,H,W,3]

    def part(self, rows: slice) -> "Posts":
        return Posts(self.source, self.ids[rows], self.pixels[rows])

    def split(self) -> tuple["Posts", "Posts"]:
        """Those that give ranges, and those that are measured."""
        ranges = min(RANGES, len(self.ids) // 3)
        return self.part(slice(ranges)), self.part(slice(ranges, ranges + MEASURED))


def posts(source: Path | None, tokens: Callable[[str], list[int]], settings: dict[str, Any]) -> Posts:
    """The first posts of a data set, read as pre-training reads it; without one, generated posts. DataError when there
    are fewer than three.
    """
    count = RANGES + MEASURED
    if source is None:
        made = list(specimens.posts(count, _SEED))
        found = [pictures.load(io.BytesIO(post.encoded), settings) for post in made]
        return Posts(GENERATED, [tokens(post.text) for post in made], np.stack(found))
    read = pairs.read(source)[:count]
    if len(read) < 3:
        raise pairs.DataError(f"{source}: {len(read)} posts are too few to measure agreement on; 3 is the least")
    found = [pictures.fit(pair.image(), settings) for pair in read]
    return Posts(source.name, [tokens(pair.text) for pair in read], np.stack(found))


def measure(exact: Graphs, other: Graphs, sample: Posts) -> dict[str, float]:
    """Figures by name: shares and cosines are best at 1, differences at 0."""
    wanted, got = _outputs(exact, sample), _outputs(other, sample)
    if not all(np.isfinite(value).all() for value in got.values()):
        raise RuntimeError("the graphs give numbers that are not finite: the checkpoint does not fit this arithmetic")
    logits, embedding = np.abs(got["logits"] - wanted["logits"]), _cosines(got["embedding"], wanted["embedding"])
    relation, relation_now = wanted["logits"].argmax(1), got["logits"].argmax(1)
    few = sample.part(slice(_MAPS))
    maps = [graphs.explain(few.pixels, _outputs(graphs, few)["text"]).reshape(-1, 1) for graphs in (exact, other)]
    return {
        "relation agreement": float((relation == relation_now).mean()),
        "text represented agreement": float((relation // 2 == relation_now // 2).mean()),
        "image adds agreement": float((relation % 2 == relation_now % 2).mean()),
        "largest logit difference": float(logits.max()),
        "mean logit difference": float(logits.mean()),
        "spread of logits": float(wanted["logits"].std(0).mean()),
        "largest similarity difference": float(np.abs(got["similarity"] - wanted["similarity"]).max()),
        "mean embedding cosine": float(embedding.mean()),
        "least embedding cosine": float(embedding.min()),
        "activation map cosine": float(_cosines(maps[0].T, maps[1].T)[0]),
    }


def _outputs(graphs: Graphs, sample: Posts) -> dict[str, np.ndarray]:
    text, image = graphs.text(sample.ids), graphs.image(sample.pixels, batch=8)
    logits, similarity, embedding = graphs.head(text, image)
    return {"text": text, "logits": logits, "similarity": similarity, "embedding": embedding}


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return (a * b).sum(1) / np.where(lengths > 0, lengths, 1)
