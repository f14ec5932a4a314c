"""Two processes train as one does."""

import json
import multiprocessing
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import Tiny

from itr import order, workers
from itr.pairs import Pair
from itr.pretrain import PretrainConfig, pretrain


def config(out: Path, epochs: int = 2) -> PretrainConfig:
    # 17 pairs in batches of 8: the last one has a single pair, fewer than there are processes.
    sizes = {"size": 34, "subset": 17, "batch": 8, "epochs": epochs}
    return PretrainConfig(out=out, encoder="tiny", tasks="1+4", seed=5, learning_rate=1e-3, **sizes)


def with_gradients(settings: PretrainConfig, pairs: list[Pair], joined: workers.Workers) -> tuple[dict, dict]:
    """The run's summary, and the gradients of its first batch by parameter."""
    models, gradients = [], {}

    def make() -> Tiny:
        models.append(Tiny())
        return models[0]

    def after_batch(iteration: int, batch: int) -> None:
        if (iteration, batch) == (1, 1):
            named = models[0].named_parameters()
            gradients.update({name: p.grad.clone() for name, p in named if p.grad is not None})

    return pretrain(settings, make, pairs, after_batch=after_batch, workers=joined), gradients


def one_of_two(rank: int, port: int, out: Path, pairs: list[Pair]) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": str(rank), "WORLD_SIZE": "2"}
    torch.set_num_threads(1)
    joined = workers.join(torch.device("cpu"))
    summary, gradients = with_gradients(config(out), pairs, joined)
    torch.save(gradients, out / f"gradients{rank}.pt")
    workers.leave(joined)
    (out / f"worker{rank}.json").write_text(json.dumps(summary))


def in_two(out: Path, pairs: list[Pair]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=one_of_two, args=(rank, port, out, pairs)) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0


def lines(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_two_processes_train_as_one(tmp_path: Path, make_pairs: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = make_pairs(34, 1)
    in_two(tmp_path / "two", pairs)

    shuffled = order.shuffled

    def joined_last(count: int, batch: int) -> list[list[int]]:
        found = shuffled(count, batch)
        return [*found[:-2], found[-2] + found[-1]]

    monkeypatch.setattr(order, "shuffled", joined_last)
    summary, gradients = with_gradients(config(tmp_path / "one"), pairs, workers.Workers())

    # AdamW hardly sees a gradient's length, so the losses alone would not tell.
    for rank in (0, 1):
        found = torch.load(tmp_path / "two" / f"gradients{rank}.pt", weights_only=True)
        assert found.keys() == gradients.keys()
        for key, value in gradients.items():
            torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-7)
    assert len(lines(tmp_path / "two")) == len(lines(tmp_path / "one")) == 4
    for two, one in zip(lines(tmp_path / "two"), lines(tmp_path / "one"), strict=True):
        assert two["losses"] == pytest.approx(one["losses"], rel=1e-4)
        assert two["cluster_sizes"] == one["cluster_sizes"]
    found, expected = (torch.load(tmp_path / n / summary["checkpoint"], weights_only=True) for n in ("two", "one"))
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-3, atol=1e-4)
    said = [json.loads((tmp_path / "two" / f"worker{rank}.json").read_text()) for rank in (0, 1)]
    assert said[0] == said[1]
    assert said[0]["mode"] == "extended"


def test_more_processes_than_pairs_of_a_batch(tmp_path: Path, make_pairs: Callable) -> None:
    with pytest.raises(ValueError, match="9 processes, but a batch has only 8 pairs"):
        pretrain(config(tmp_path / "run"), Tiny, make_pairs(34, 1), workers=workers.Workers(0, 9))


def test_bfloat16_changes_a_little(tmp_path: Path, make_pairs: Callable) -> None:
    pairs = make_pairs(34, 1)
    for name, short in (("float", False), ("short", True)):
        summary = pretrain(replace(config(tmp_path / name), bfloat16=short), Tiny, pairs)
        assert summary["mode"] == ("extended" if short else "paper")
    one, two = (lines(tmp_path / name)[0]["losses"]["4"] for name in ("float", "short"))
    assert one != two
    assert one == pytest.approx(two, rel=0.02)
