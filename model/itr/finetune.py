"""Supervised training on the labelled set (task 0), as in the paper's code: batches in the file's order, ten epochs, no
dropout before the classifier, and a test after every epoch.

The paper reports the epoch that is best on the test set. To choose without it, the same training runs a second time,
with a tenth of the training part kept apart; the best epoch there is then read from the curve of the first.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from itr import figures, objective, order, protocols, scores
from itr.embed import embed, embed_all
from itr.folder import replacing
from itr.labelled import Labelled
from itr.logs import log, report
from itr.pairs import Pair, digest
from itr.protocols import Curve
from itr.runs import Run, finished


@dataclass(frozen=True)
class FinetuneConfig:
    """Settings of one run; the defaults are the paper's, but for the second training that `dev` asks for."""

    out: Path
    model_id: str  # as log files name it, such as "bertweet-base+vit-base-patch16-224-in21k(1+4)_k4"
    seed: int = 0
    epochs: int = 10
    batch: int = 32
    learning_rate: float = 1e-5
    freeze_text: bool = False
    freeze_image: bool = False
    dev: bool = True
    force: bool = False
    resumes: bool = False  # a finished run of these settings gives its summary, and is no error


def finetune(
    config: FinetuneConfig,
    make_model: Callable[[], nn.Module],
    data: Labelled,
    after_batch: Callable[[int, int], None] = lambda epoch, batch: None,
) -> dict[str, Any]:
    """Runs, or goes on with, one fine-tuning, and gives its summary. Writes into `config.out`, see `runs`, and there

    state_dict/fine-tune_….pt after the last epoch, log/fine-tune_….json, one PNG a curve and a confusion matrix.
    `make_model` gives a model of four classes; its classifier starts anew. `after_batch(epoch, batch)` hears of steps.
    """
    fields = {key: value for key, value in asdict(config).items() if key not in ("out", "force", "resumes")}
    settings = fields | {"data_sha256": {"train": digest(data.train), "test": digest(data.test)}}
    if config.resumes and not config.force and (summary := finished(config.out, settings)) is not None:
        return summary
    run = Run(config.out, settings, config.force)
    state = run.state() or {"phase": 0, "epoch": 0, "full": Curve().plain(), "dev": []}

    dev = data.dev()
    kept_apart = [pair for pair, apart in zip(data.train, dev, strict=True) if apart]
    rest = [pair for pair, apart in zip(data.train, dev, strict=True) if not apart]
    phases = [(data.train, data.test)] + ([(rest, kept_apart)] if config.dev and rest and kept_apart else [])
    per_epoch = [-(-len(train) // config.batch) for train, _ in phases]
    done = sum(per_epoch[: state["phase"]]) * config.epochs + per_epoch[state["phase"]] * state["epoch"]
    total = sum(per_epoch) * config.epochs
    with tqdm(total=total, initial=done, unit="batch", desc=f"fine-tune {config.model_id}") as bar:

        def step(epoch: int, batch: int) -> None:
            bar.update()
            after_batch(epoch, batch)

        for phase in range(state["phase"], len(phases)):
            _phase(run, config, make_model, phases[phase], state, step)
            state = {**state, "phase": phase + 1, "epoch": 0, "model": None}

    curve = Curve.of(state["full"])
    curve.dev = state["dev"]
    summary = {"fine_tune": report(curve, curve), "checkpoint": f"state_dict/{_name(config)}.pt"}
    log(config.out / "log" / f"{_name(config)}.json", settings, curve, summary["fine_tune"])
    figures.curve(config.out / f"{_name(config)}.png", curve, "fine-tuning", step="epoch")
    predicted = curve.test[-1].flags["tv"]
    true = protocols.relations(data.test)
    figures.confusion(config.out / f"confusion_{_name(config)}.png", true, predicted, "fine-tuning, last epoch")
    run.finish(summary)
    return summary


def _phase(
    run: Run,
    config: FinetuneConfig,
    make_model: Callable[[], nn.Module],
    parts: tuple[list[Pair], list[Pair]],
    state: dict[str, Any],
    step: Callable[[int, int], None],
) -> None:
    """Trains on one part and scores the other after every epoch; changes and keeps `state`."""
    train, other = parts
    order.seed_everything(config.seed)
    model = make_model()
    model.classifier.reset_parameters()
    for frozen, name in ((config.freeze_text, "encoder_t"), (config.freeze_image, "encoder_v")):
        if frozen:
            getattr(model, name).requires_grad_(False)
    optimizer = objective.optimizer(model, config.learning_rate)
    if state.get("model"):
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        order.restore_random_state(state["random"])
    while state["epoch"] < config.epochs:
        began = time.monotonic()
        epoch = state["epoch"] + 1
        losses = _train(model, optimizer, train, config.batch, lambda batch: step(epoch, batch))  # noqa: B023
        order.skip_passes(protocols.ZERO_SHOT_PASSES[4])
        predicted = protocols.predict(model.classifier, embed_all(model, other, config.batch))
        found = scores.of_relations(protocols.relations(other), predicted)
        state["epoch"] = epoch
        if state["phase"] == 0:
            state["full"]["test"].append((found.f1, found.flags))
        else:
            state["dev"].append(found.f1["tv"])
        line = {"part": ("test", "dev")[state["phase"]], "epoch": epoch, "loss": float(np.mean(losses)), **found.f1}
        if epoch == config.epochs and state["phase"] == 0:
            with replacing(config.out / "state_dict" / f"{_name(config)}.pt") as path:
                torch.save(model.state_dict(), path)
        whole = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "random": order.random_state()}
        state |= whole
        run.keep(state, line | {"seconds": time.monotonic() - began})


def _train(
    model: nn.Module, optimizer: torch.optim.Optimizer, pairs: list[Pair], batch: int, step: Callable[[int], None]
) -> list[float]:
    """One pass in order; the loss of each batch."""
    device = next(model.parameters()).device
    model.train()
    found = []
    for number, rows in enumerate(order.straight(len(pairs), batch), start=1):
        part = [pairs[i] for i in rows]
        target = torch.tensor([pair.relation for pair in part], device=device)
        loss = objective.losses(model, embed(model, part), "0", target)["0"]
        if not torch.isfinite(loss):
            raise RuntimeError(f"batch {number}: the loss is {loss.item()}")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
        step(number)
    return found


def _name(config: FinetuneConfig) -> str:
    return f"fine-tune_{config.model_id}_{config.seed}"
