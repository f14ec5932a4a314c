"""Posts of all kinds through the int8 towers: what heads are fitted to and measured on."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from itr import compose, run, written
from itr.config import MiniConfig
from itr.fitting import Posts

if TYPE_CHECKING:
    from itr.mini import Material


@dataclass(frozen=True)
class Encoded:
    """Posts through the int8 towers."""

    composed: dict[str, Posts]  # train, test; "loose" of dev pictures, most of which match as loosely as people match
    written: dict[str, Posts]  # train, dev, test
    reporting: np.ndarray  # bool [written test]: of the kinds nearest to news


def encode(
    material: "Material", graphs: run.Graphs, embed: Callable[[list[str]], np.ndarray], config: MiniConfig
) -> Encoded:
    """Everything that heads see of all posts; `embed` turns N texts into [N, text width]."""

    def composed(split: str, seed: str, kin: float, count: int) -> Posts:
        return _through(material.composer(split, f"{seed} {config.seed}", kin).posts(count), graphs, embed, config)

    posts = material.posts
    shown = np.array([post.picture for post in posts])
    relations = np.array([post.relation for post in posts])
    everything = Posts(embed([post.text for post in posts]), graphs.image(material.pictures)[shown], relations, shown)
    splits = np.array([post.split for post in posts])
    reporting = np.array([post.kind in written.REPORTING for post in posts])
    return Encoded(
        {
            "train": composed("train", "posts", 0.25, config.train_posts),
            "test": composed("test", "posts", 0.25, config.test_posts),
            "loose": composed("dev", "calibration", 0.6, config.calibration_posts),
        },
        {split: everything.rows(splits == split) for split in compose.SPLITS},
        reporting[splits == "test"],
    )


def _through(
    posts: Iterable[compose.Post], graphs: run.Graphs, embed: Callable[[list[str]], np.ndarray], config: MiniConfig
) -> Posts:
    texts, images, relations, waiting = [], [], [], []
    for post in posts:
        texts.append(post.text)
        relations.append(post.relation)
        waiting.append(post.canvas.pixels(config.image_side))
        if len(waiting) == 32:
            images.append(graphs.image(np.stack(waiting)))
            waiting.clear()
    if waiting:
        images.append(graphs.image(np.stack(waiting)))
    return Posts(embed(texts), np.concatenate(images), np.array(relations), np.arange(len(texts)))
