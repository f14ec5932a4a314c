"""What pre-training and a head of one's own bring: figures for the model card, which `itr mini --study` measures.

Pre-training is that of `pretrain`, step by step, with the towers of itr-mini looked up instead of run, or with small
towers that have seen nothing. Figures depend on seeds only; they are kept in study.json, which the card reads.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from itr import evaluate, image_tower, protocols, relation, text_tower
from itr.embed import embed_all
from itr.fitting import Posts
from itr.labelled import Labelled
from itr.mini_towers import PROJECTION, Adapter
from itr.pairs import Pair, Picture
from itr.pretrain import PretrainConfig, pretrain

if TYPE_CHECKING:
    from itr.encoding import Encoded
    from itr.mini import Material

Figures = dict[str, list[float]]
SEEDS = (0, 1, 2)
_MINI = (("1", 1.0, 5), ("4", 1.0, 5), ("4", 0.2, 5), ("1+4", 0.2, 5))  # tasks, temperature, epochs
_SCRATCH = (("4", 0.1, 25),)
_SCRATCH_TRAIN, _SCRATCH_TEST = 3000, 1000
SIDE, PIECES = 56, 32  # of what the untrained towers see
_HASHED, _WIDTH, _BATCH = 8192, 64, 64


class Row(Pair):
    """A pair that stands for one row of the tables below."""

    def image(self) -> int:
        return int(self.id)


class Lookup(nn.Module):
    """int64 [B] → rows of a table [N, …]."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.register_buffer("table", table, persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        return self.table[rows]


class Towers(nn.Module):
    """Any two encoders of row numbers as a model that `embed` describes."""

    micro_batch = 256

    def __init__(self, text: nn.Module, image: nn.Module, ht: int, hv: int, k: int) -> None:
        super().__init__()
        self.text, self.image = text, image
        self.head1, self.head2, self.head3, self.classifier = (nn.Linear(ht + hv, k) for _ in range(4))
        self.proj_t, self.proj_v = nn.Linear(ht, PROJECTION, bias=False), nn.Linear(hv, PROJECTION, bias=False)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        return self.text(torch.tensor([int(text) for text in texts]))

    def encode_image(self, images: Sequence[int]) -> Tensor:
        return self.image(torch.tensor(list(images)))


class Pieces(nn.Module):
    """int64 [B,PIECES], 0 where there is none → [B,_WIDTH]: what a bag of word pieces says."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.out = nn.Embedding(_HASHED, _WIDTH), nn.Linear(_WIDTH, _WIDTH)

    def forward(self, ids: Tensor) -> Tensor:
        there = (ids > 0).float()[..., None]
        return self.out((self.words(ids % _HASHED) * there).sum(1) / there.sum(1).clamp(min=1.0))


class Pixels(nn.Module):
    """uint8 [B,SIDE,SIDE,3] → [B,_WIDTH] by five convolutions."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 16, 32, 64, 64, 64)
        self.layers = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(a, b, 3, stride=2, padding=1), nn.GroupNorm(4, b), nn.ReLU())
                for a, b in zip(widths, widths[1:], strict=False)
            )
        )

    def forward(self, pixels: Tensor) -> Tensor:
        return self.layers(pixels.permute(0, 3, 1, 2).float() / 127.5 - 1.0).mean((2, 3))


def figures(
    head: relation.Relation, encoded: "Encoded", material: "Material", tokens: Callable[[str], list[int]], seed: int
) -> dict[str, Any]:
    """What study.json holds; `tokens` gives a text's word-piece ids."""
    composed, posts = encoded.composed, encoded.written
    found = own_head("composed posts", head, composed["train"], composed["test"])
    found |= own_head("written posts", head, posts["train"], posts["test"])
    found |= pretraining(composed["train"], composed["test"])
    drawn = [
        post
        for split, count in (("train", _SCRATCH_TRAIN), ("test", _SCRATCH_TEST))
        for post in material.composer(split, f"scratch {seed}", 0.25).posts(count)
    ]
    ids = np.zeros((len(drawn), PIECES), np.int64)
    for row, post in zip(ids, drawn, strict=True):
        pieces = tokens(post.text)[1:-1][:PIECES]
        row[: len(pieces)] = pieces
    pixels = np.stack([post.canvas.pixels(SIDE) for post in drawn])
    found |= from_scratch(ids, pixels, np.array([post.relation for post in drawn]), _SCRATCH_TRAIN)
    return {"seeds": len(SEEDS), "figures": found}


def pretraining(train: Posts, test: Posts) -> Figures:
    """F1 ×100 of the relation, linear probe, before and after pre-training on the training posts without labels."""
    text = np.concatenate([train.text, test.text])[:, text_tower.SENTENCE]
    image = np.concatenate([train.image, test.image])[:, : image_tower.WIDTH]

    def model() -> Towers:
        ht, hv = text.shape[1], image.shape[1]
        looked = (nn.Sequential(Lookup(torch.tensor(x)), Adapter(x.shape[1])) for x in (text, image))
        return Towers(*looked, ht, hv, 4)

    return _compare("mini", model, _labelled(train.relations, test.relations), _MINI)


def from_scratch(ids: np.ndarray, pixels: np.ndarray, relations: np.ndarray, count: int) -> Figures:
    """The same with towers of 0.7 million weights that start at random; the first `count` posts train.

    ids int64 [N,PIECES], pixels uint8 [N,SIDE,SIDE,3].
    """

    def model() -> Towers:
        text = nn.Sequential(Lookup(torch.tensor(ids)), Pieces())
        return Towers(text, nn.Sequential(Lookup(torch.tensor(pixels)), Pixels()), _WIDTH, _WIDTH, 4)

    return _compare("from scratch", model, _labelled(relations[:count], relations[count:]), _SCRATCH)


def own_head(name: str, head: relation.Relation, train: Posts, test: Posts) -> Figures:
    """F1 ×100 of a head with interactions, fitted to labelled posts: what one's own labels are worth."""
    x, x_test = (_interactions(head, posts) for posts in (train, test))
    mean, spread = x.mean(0), x.std(0).clamp(min=1e-3)
    x, x_test = (((one - mean) / spread).clamp(-4.0, 4.0) for one in (x, x_test))
    known, f1s = torch.tensor(train.relations), []
    for seed in SEEDS:
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Dropout(0.2), nn.Linear(x.shape[1], 128), nn.GELU(), nn.Dropout(0.3), nn.Linear(128, 4))
        optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.1)
        for _ in range(15):
            for rows in torch.randperm(len(x)).split(_BATCH):
                F.cross_entropy(net(x[rows]), known[rows], label_smoothing=0.05).backward()
                optimizer.step()
                optimizer.zero_grad()
        with torch.no_grad():
            f1s.append(evaluate.f1s(test.relations, net.eval()(x_test).argmax(1).numpy()))
    return {f"{name}: a head of their own, {task} F1": [one[task] for one in f1s] for task in ("t", "v", "tv")}


def _interactions(head: relation.Relation, posts: Posts) -> Tensor:
    """The factors, what they are made of, and the agreement class by class: its largest products, sorted."""
    text, image = torch.tensor(posts.text), torch.tensor(posts.image)
    with torch.no_grad():
        lt, lv, cosine, sentence, _ = head.parts(text, image)
        shared = head.agreement.classes(image) * head.agreement.votes(sentence)
        strongest = (shared + 1e-3).log().topk(4, dim=1).values
    scores = torch.stack([lt, lv, cosine, lt * lv], 1)
    return torch.cat([scores, strongest, text[:, text_tower.LEXICAL], image[:, relation.AREA]], 1)


def _labelled(train: np.ndarray, test: np.ndarray) -> Labelled:
    pairs = [
        Row(str(i), str(i), Picture(Path(str(i))), f"composed post {i}", relation=int(label))
        for i, label in enumerate(np.concatenate([train, test]))
    ]
    return Labelled(pairs[: len(train)], pairs[len(train) :])


def _compare(
    name: str, model: Callable[[], Towers], data: Labelled, settings: tuple[tuple[str, float, int], ...]
) -> Figures:
    found: Figures = {f"{name}: no pre-training": [_untrained(model, data, seed) for seed in SEEDS]}
    for tasks, temperature, epochs in settings:
        sizes = {"subset": min(1000, len(data.train)), "epochs": epochs}
        found[f"{name}: task {tasks}, temperature {temperature:g}"] = [
            _pretrained(name, model, data, tasks, seed, temperature=temperature, **sizes) for seed in SEEDS
        ]
    torch.use_deterministic_algorithms(False)
    return found


def _pretrained(
    name: str, model: Callable[[], Towers], data: Labelled, tasks: str, seed: int, **settings: float
) -> float:
    made: list[Towers] = []

    def make() -> Towers:
        made.append(model())
        return made[-1]

    with tempfile.TemporaryDirectory() as folder:
        pretrain(PretrainConfig(Path(folder), name, tasks, seed=seed, **settings), make, data.train)
    return _probe(made[-1], data, seed)


def _untrained(model: Callable[[], Towers], data: Labelled, seed: int) -> float:
    torch.manual_seed(seed)
    return _probe(model(), data, seed)


def _probe(model: Towers, data: Labelled, seed: int) -> float:
    train, test = (embed_all(model, part, _BATCH) for part in (data.train, data.test))
    return 100 * protocols.probe(train, test, data, 4, PretrainConfig.probe_strength, seed)[0].f1["tv"]
