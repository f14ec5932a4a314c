"""Fine-tuning against a second computation, its honest epoch, killed runs."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import Tiny, letter_counts, thumbnail

from itr.finetune import FinetuneConfig, finetune
from itr.labelled import Labelled


def config(out: Path, **changes: object) -> FinetuneConfig:
    return FinetuneConfig(
        **{"out": out, "model_id": "tiny(1)_k4", "epochs": 3, "batch": 16, "learning_rate": 1e-3, **changes}
    )


@pytest.fixture
def data(make_pairs: Callable) -> Labelled:
    return Labelled(make_pairs(70, 6, True), make_pairs(40, 7, True))


def metrics(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_losses_equal_a_plain_loop(tmp_path: Path, data: Labelled) -> None:
    finetune(config(tmp_path / "run", dev=False), Tiny, data)

    torch.manual_seed(0)
    model = Tiny()
    model.classifier.reset_parameters()
    x = torch.tensor([letter_counts(pair.text) for pair in data.train])
    y = torch.tensor([thumbnail(pair.image()) for pair in data.train])
    labels = torch.tensor([pair.relation for pair in data.train])
    slow = [*model.encoder_t.parameters(), *model.encoder_v.parameters()]
    fast = [*model.classifier.parameters()]
    optimizers = [torch.optim.AdamW(slow, 1e-3), torch.optim.AdamW(fast, 1e-1)]
    expected = []
    for _ in range(3):
        losses = []
        for start in range(0, 70, 16):
            part = slice(start, start + 16)
            logits = model.classifier(torch.cat([model.encoder_t(x[part]), model.encoder_v(y[part])], 1))
            loss = -(logits.log_softmax(1)[torch.arange(len(logits)), labels[part]]).mean()
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            losses.append(loss.item())
        expected.append(np.mean(losses))
    assert [line["loss"] for line in metrics(tmp_path / "run")] == pytest.approx(expected, rel=1e-4)


def test_it_learns_and_tells_three_epochs(tmp_path: Path, data: Labelled) -> None:
    out = tmp_path / "run"
    summary = finetune(config(out, epochs=12, learning_rate=3e-3), Tiny, data)
    log = json.loads((out / "log" / "fine-tune_tiny(1)_k4_0.json").read_text())
    assert len(log["f1s_tv"]) == 12
    assert summary["fine_tune"]["paper"]["tv"] == max(log["f1s_tv"]) > 0.8
    assert summary["fine_tune"]["last"]["tv"] == log["f1s_tv"][-1]
    dev = [line["tv"] for line in metrics(out) if line["part"] == "dev"]
    chosen = summary["fine_tune"]["dev_selected"]
    assert chosen["iteration"] == int(np.argmax(dev)) + 1
    assert chosen["tv"] == log["f1s_tv"][chosen["iteration"] - 1]
    assert (out / "confusion_fine-tune_tiny(1)_k4_0.png").is_file()
    assert torch.load(out / summary["checkpoint"], weights_only=True)["classifier.weight"].shape[0] == 4


def test_without_dev_labels_no_epoch_is_chosen(tmp_path: Path, data: Labelled) -> None:
    summary = finetune(config(tmp_path / "run", dev=False), Tiny, data)
    assert summary["fine_tune"]["dev_selected"] is None


def test_a_killed_fine_tuning_goes_on(tmp_path: Path, data: Labelled) -> None:
    class Killed(BaseException):
        pass

    make = lambda: Tiny(dropout=0.3)  # noqa: E731
    whole, cut = config(tmp_path / "whole"), config(tmp_path / "cut")
    expected = finetune(whole, make, data)
    steps = 0

    def kill_at(step: int) -> Callable[[int, int], None]:
        def after_batch(epoch: int, batch: int) -> None:
            nonlocal steps
            steps += 1
            if steps == step:
                raise Killed

        return after_batch

    for step in (7, 8, 6):  # in epoch 2, in epoch 3, in epoch 2 of the run that chooses
        steps = 0
        with pytest.raises(Killed):
            finetune(cut, make, data, kill_at(step))
    assert finetune(cut, make, data) == expected
    plain = [[{k: v for k, v in line.items() if k != "seconds"} for line in metrics(c.out)] for c in (whole, cut)]
    assert plain[0] == plain[1]
    one, two = (torch.load(c.out / expected["checkpoint"], weights_only=True) for c in (whole, cut))
    assert all(torch.equal(one[key], two[key]) for key in one)
