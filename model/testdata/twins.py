"""Writes twins/: bundles of BERTweet with ViT, RoBERTa with ResNet and CLIP as `itr export` makes them, but tiny.

    pip install -e 'model[build]'
    python model/testdata/twins.py

Their golden posts are references: ids by Hugging Face's tokenizers, pixels by its processors, numbers by PyTorch, and
activation maps by its autograd. Weights are random multiples of 1/64, which git packs well.
"""

import json
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from itr import bundle, checkpoint, golden, parity, specimens
from itr.paper_export import ExportConfig, export
from itr.reading import Words
from itr.towers import ClipImage, ClipText, ResNetImage, RobertaText, VitImage
from itr.two_tower import TwoTower

OUT = Path(__file__).with_name("twins")
TOKENIZERS = Path(__file__).parents[1] / "tokenize" / "testdata"
POSTS, SEED, LARGEST = 12, 4, 40
SMALL = {"width": 64, "layers": 1, "inner": 16}
MERGES = 40  # of RoBERTa and CLIP
BERTWEET = 160  # pieces of BERTweet

TWINS = {
    "bertweet-vit": TwoTower(
        RobertaText(**SMALL, vocabulary=BERTWEET + 5, positions=26), VitImage(**SMALL, patch=4, side=16), projection=16
    ),
    "roberta-resnet": TwoTower(
        RobertaText(**SMALL, vocabulary=256 + 5 + MERGES, positions=26),
        ResNetImage(stem=8, widths=(16, 32), depths=(1, 2), side=32),
        projection=16,
    ),
    "clip": TwoTower(
        ClipText(**SMALL, vocabulary=2 * 256 + MERGES + 2, positions=24),
        ClipImage(**SMALL, patch=4, side=16),
        projection=16,
    ),
}


def words(name: str, folder: Path) -> Path:
    """The beginning of the tokenizer files that the tokenizers' tests use."""
    folder.mkdir()
    if name == "bertweet-vit":
        sys.path.insert(0, str(TOKENIZERS))
        from vocabularies import VOCAB, train

        pieces, merges = train(
            [piece.removeprefix("##") for piece in VOCAB[1996:4000]], characters=30, size=BERTWEET + 20
        )
        (folder / "vocab.txt").write_text("".join(f"{piece} 1\n" for piece in pieces[:BERTWEET]), "utf-8")
        (folder / "bpe.codes").write_text("".join(f"{merge} 1\n" for merge in merges), "utf-8")
        return folder
    source = TOKENIZERS / name.split("-")[0]
    merges = (source / "merges.txt").read_text("utf-8").split("\n")[: 1 + MERGES]
    known = list(json.loads((source / "vocab.json").read_text("utf-8")))
    first, last = (2 * 256 + MERGES, 2) if name == "clip" else (4 + 256 + MERGES, 1)
    pieces = {piece: i for i, piece in enumerate(known[:first] + known[-last:])}
    (folder / "vocab.json").write_text(json.dumps(pieces, ensure_ascii=False) + "\n", "utf-8")
    (folder / "merges.txt").write_text("\n".join(merges) + "\n", "utf-8")
    return folder


def twin(name: str) -> checkpoint.Checkpoint:
    """Its checkpoint."""
    found = parity.random_checkpoint(TWINS[name], SEED)
    rounded = {
        key: (value * 64).round() / 64 if value.is_floating_point() else value for key, value in found.state.items()
    }
    return replace(found, state=rounded)


def write(name: str, work: Path) -> None:
    found, tokenizer, made = twin(name), words(name, work / "words"), OUT / name
    (work / "checkpoint").mkdir()
    checkpoint.write(found, work / "checkpoint")
    export(ExportConfig(work / "checkpoint", tokenizer, out=work / "bundle", name=f"twin-{name}"))
    manifest = bundle.read(work / "bundle")
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(work / "bundle", made, ignore=shutil.ignore_patterns("golden*", "MODEL_CARD.md", bundle.MANIFEST))
    tokenizer_of = Words(tokenizer, found.variant.text)
    posts = list(specimens.posts(POSTS, SEED, LARGEST))
    parity.reference(found, tokenizer_of, posts, work / "reference")
    shutil.copytree(work / "reference" / "golden", made / "golden")
    shutil.copyfile(work / "reference" / golden.FILE, made / golden.FILE)
    bundle.write(made, {key: value for key, value in manifest.items() if key != "files"})


if __name__ == "__main__":
    for each in TWINS:
        with tempfile.TemporaryDirectory() as scratch:
            write(each, Path(scratch))
