"""Every published variant, small, through the commands: import, two kinds of pre-training, probe."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import published
import pytest
import torch
from PIL import Image
from test_export import tokenizer_files

from itr.__main__ import main


@pytest.fixture(autouse=True)
def no_lasting_determinism() -> Iterator[None]:
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """posts.jsonl, train.jsonl, test.jsonl, and butd.tsv with three regions for each of their pictures."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    names, regions = [], []
    for part, count in (("posts", 8), ("train", 40), ("test", 8)):
        rows = []
        for i in range(count):
            names.append(f"{part}{i}")
            Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).save(folder / f"{names[-1]}.png")
            row = {
                "id": names[-1],
                "text": "so " * (1 + i % 3),
                "image": f"{names[-1]}.png",
                "ocr": "so",
                "caption": "so",
            }
            rows.append(json.dumps(row | ({} if part == "posts" else {"relation": i % 4})))
        (folder / f"{part}.jsonl").write_text("\n".join(rows))
    for name in names:
        numbers, sure = np.zeros(3, "<i8"), np.ones(3, "<f4")
        boxes, features = np.tile(np.array([1, 2, 5, 9], "<f4"), (3, 1)), rng.random((3, 2048)).astype("<f4")
        fields = [base64.b64encode(a.tobytes()).decode() for a in (numbers, sure, numbers, sure, boxes, features)]
        regions.append("\t".join([name, "40", "30", *fields[:4], "3", *fields[4:]]))
    (folder / "butd.tsv").write_text("\n".join(regions) + "\n")
    return folder


@pytest.mark.parametrize("variant", published.VARIANTS)
def test_import_pretrain_probe(variant: str, tmp_path: Path, data: Path, capsys: pytest.CaptureFixture) -> None:
    torch.save(published.small(variant), tmp_path / "m.pt")
    assert main(["import", str(tmp_path / "m.pt"), "--out", str(tmp_path / "imported")]) == 0
    model = [
        "--checkpoint",
        str(tmp_path / "imported"),
        "--tokenizer",
        str(tokenizer_files(variant, tmp_path / "words")),
    ]
    if variant.startswith(("visualbert", "lxmert")):
        model += ["--regions", str(data / "butd.tsv")]
    for tasks in ("1+4", "2"):
        run = ["--pairs", str(data / "posts.jsonl"), "--tasks", tasks, "--batch", "4", "--out", str(tmp_path / tasks)]
        capsys.readouterr()
        assert main(["pretrain", *model, *run]) == 0
        saved = tmp_path / tasks / json.loads(capsys.readouterr().out)["checkpoint"]
        (line,) = (tmp_path / tasks / "metrics.jsonl").read_text().splitlines()
        assert json.loads(line)["losses"].keys() == set(tasks.split("+"))
    model[1] = str(saved)
    assert main(["probe", *model, "--labelled", str(data), "--out", str(tmp_path / "eval")]) == 0
    assert 0 <= json.loads(capsys.readouterr().out)["probe"]["tv"] <= 1
