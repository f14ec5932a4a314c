"""PP-OCR on pictures drawn here, the commands that fill data sets, and pre-training on what they filled."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw, ImageFont
from tiny import write_picture

from itr import captions, image_tower, ocr
from itr.__main__ import main
from itr.filled import Unreadable, fill
from itr.pairs import read


def drawn(*lines: str, size: tuple[int, int] = (420, 220)) -> Image.Image:
    """Dark lines on paper, in Pillow's own font."""
    picture = Image.new("RGB", size, (240, 240, 230))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(32)
    for i, line in enumerate(lines):
        draw.text((20, 20 + 60 * i), line, font=font, fill=(20, 20, 60))
    return picture


def test_lines_are_read_from_the_top() -> None:
    pictures = [
        drawn("SUMMER SALE", "50% off all shoes", "Friday only"),
        drawn("VOTE ON FRIDAY").rotate(180),
        drawn("x", size=(1, 1)),
    ]
    assert ocr.filling("").describe(pictures) == ["SUMMER SALE50% off all shoesFriday only", "VOTE ON FRIDAY", ""]


def test_one_picture_does_not_end_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Engine:
        def __init__(self, params: dict) -> None:
            pass

        def __call__(self, image: Image.Image) -> None:
            raise MemoryError

    monkeypatch.setattr(ocr, "RapidOCR", Engine)
    (found,) = ocr.filling(" ").describe([drawn()])
    assert isinstance(found, Unreadable) and str(found) == "OCR failed: MemoryError"


def test_pretraining_clusters_by_what_was_read(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    tiny = pretraining_model(tmp_path)
    rows = []
    for i, lines in enumerate((["BIG", "SALE"], [], ["NEWS"])):
        drawn(*lines, size=(200, 140)).save(tmp_path / f"{i}.png")
        rows.append({"text": f"post {i}", "image": f"{i}.png"})
    source, out = tmp_path / "posts.jsonl", tmp_path / "read.jsonl"
    source.write_text("\n".join(json.dumps(row) for row in rows))
    run = [*tiny, "--tasks", "2", "--k", "2", "--batch", "3", "--out", str(tmp_path / "run")]
    assert main(["pretrain", "--pairs", str(source), *run]) == 1
    assert "no ocr text, which task 2 clusters by" in capsys.readouterr().err

    assert main(["ocr", str(source), "--out", str(out)]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["pairs"], summary["with_text"], summary["unreadable"]) == (3, 2, 0)
    assert [pair.ocr for pair in read(out)] == ["BIG SALE", "", "NEWS"]
    assert main(["ocr", str(source), "--out", str(out)]) == 1
    assert "is there already; --force replaces it" in capsys.readouterr().err
    assert main(["pretrain", "--pairs", str(out), *run, "--force"]) == 0
    assert (tmp_path / "run" / json.loads(capsys.readouterr().out)["checkpoint"]).is_file()


def pretraining_model(folder: Path) -> list[str]:
    """Arguments that name encoders of one layer."""
    import transformers

    sizes = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 64}
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz"]
    pieces += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    pieces += [f"piece{i}" for i in range(30522 - len(pieces))]
    transformers.BertModel(transformers.BertConfig(**sizes)).save_pretrained(folder / "text")
    vit = transformers.ViTConfig(image_size=224, patch_size=56, **sizes)
    transformers.ViTModel(vit).save_pretrained(folder / "image")
    (folder / "text" / "vocab.txt").write_text("\n".join(pieces) + "\n")
    return ["--text", str(folder / "text"), "--image", str(folder / "image")]


def test_captions_name_the_likeliest_classes(tmp_path: Path) -> None:
    torch.manual_seed(5)
    tower = image_tower.ImageTower().eval()
    weight = torch.randn(image_tower.CLASSES, image_tower.WIDTH)
    tower.classifier.set(weight, torch.zeros(image_tower.CLASSES))
    names = [f"class {i}" for i in range(image_tower.CLASSES)]
    rows = []
    for i, color in enumerate(((200, 30, 10), (10, 30, 200))):
        write_picture(tmp_path / f"{i}.png", color)
        rows.append(json.dumps({"text": "a", "image": f"{i}.png"}))
    (tmp_path / "posts.jsonl").write_text("\n".join([*rows, json.dumps({"text": "b", "image": "gone.png"})]))
    filling = captions.filling_of(tower, names)
    summary = fill(tmp_path / "posts.jsonl", tmp_path / "out.jsonl", filling, force=False)
    assert (summary["column"], summary["with_text"], summary["unreadable"]) == ("caption", 2, 1)
    for pair in read(tmp_path / "out.jsonl")[:2]:
        plane = torch.tensor(pair.image().getpixel((0, 0)), dtype=torch.uint8).expand(1, 224, 224, 3)
        with torch.no_grad():
            logits = tower.classifier(tower(plane)[2].mean((2, 3)))[0]
        order = sorted(range(image_tower.CLASSES), key=lambda i: -logits[i].item())[:3]
        assert pair.caption == ", ".join(names[i] for i in order)
