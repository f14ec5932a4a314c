"""Pre-training on unlabelled pairs: deep multimodal clustering (tasks 1, 2, 3) and contrastive learning (task 4).

The default follows the paper's code step by step, quirks included:

- Subsets of 5000 are clustered from scratch, their head starts anew, AdamW's moments for it stay.
- What does not fill a subset is left out.
- The loss of tasks 2 and 3 reads text and picture; OCR text and caption only decide the clusters.
- Task 1 weighs 0.2; similarities are not sharpened (temperature 1).
- The classifier *is* the clustering head; nothing drops out between embedding and head, while the encoders' own dropout
  is on.
- Evaluation passes over the labelled set move the random state, and so the order of later batches.
- With a frozen encoder, the embeddings that were clustered (dropout off) are trained on.
- The state after the last subset is saved, not the best one.

What leaves the paper's mode, so that run.json says "mode": "extended": a temperature other than 1, bfloat16, and
several processes (see `workers`; a last batch with fewer pairs than there are processes then joins the one before).
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from random import shuffle
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from itr import clusters, figures, objective, order, protocols
from itr.embed import Embedded, check_sides, embed, embed_all, embed_for_clusters
from itr.folder import replacing
from itr.labelled import Labelled
from itr.logs import log, report
from itr.pairs import DataError, Pair, digest
from itr.protocols import Curve
from itr.runs import Run, read_state
from itr.workers import Workers

PAPER_SIZE, PAPER_SUBSET = 100_000, 5_000


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of one run, by default the paper's; None is the paper's, or all if there is less data."""

    out: Path
    encoder: str  # as checkpoints name it, such as "bertweet-base+vit-base-patch16-224-in21k"
    tasks: str = "1+4"
    k: int = 4
    seed: int = 0
    size: int | None = None
    subset: int | None = None
    epochs: int = 1
    batch: int = 32
    learning_rate: float = 1e-5
    preprocess: str = "none"
    temperature: float = objective.PAPER_TEMPERATURE
    freeze_text: bool = False
    freeze_image: bool = False
    probe_strength: float = 0.25
    bfloat16: bool = False  # where training encodes; evaluation stays in float32
    force: bool = False

    @property
    def model_id(self) -> str:
        return f"{self.encoder}({self.tasks})_k{self.k}"

    def mode(self, workers: Workers) -> str:
        paper = self.temperature == objective.PAPER_TEMPERATURE and not self.bfloat16 and workers.count == 1
        return "paper" if paper else "extended"


@dataclass
class Evaluation:
    """Labelled data that every iteration is measured on, any of it missing."""

    labelled: Labelled | None = None
    news: tuple[list[Pair], np.ndarray] | None = None


def pretrain(
    config: PretrainConfig,
    make_model: Callable[[], nn.Module],
    pairs: list[Pair],
    evaluation: Evaluation | None = None,
    after_batch: Callable[[int, int], None] = lambda iteration, batch: None,
    workers: Workers | None = None,
) -> dict[str, Any]:
    """Runs, or goes on with, one pre-training, and gives its summary. Writes into `config.out`, see `runs`, and there

    state_dict/{model_id}_{seed}.pt, log/*.json as the paper's code, and one PNG a curve and a confusion matrix.
    `make_model` gives a model as `embed` describes, on its device; it is called after the seeds are set.
    `after_batch(iteration, batch)` is told of each step, both counted from 1.
    """
    evaluation, workers = evaluation or Evaluation(), workers or Workers()
    size, subset = _sizes(config, pairs)
    if min(subset, config.batch) < workers.count:
        raise ValueError(f"{workers.count} processes, but a batch has only {min(subset, config.batch)} pairs")
    pairs = pairs[:size]
    settings = _settings(config, size, subset, pairs, evaluation, workers)
    run = Run(config.out, settings, config.force) if workers.first else None

    order.seed_everything(config.seed)
    training = _Training(config, make_model(), pairs, evaluation, settings, workers)
    state = run.state() if run else None
    if workers.agree(state is not None):
        # A run's folder is one that all its processes see.
        training.restore(state or read_state(config.out))

    per_epoch = size // subset
    batches = -(-subset // config.batch) - (0 < subset % config.batch < workers.count and subset > config.batch)
    total, done = per_epoch * config.epochs * batches, training.iteration * batches
    with tqdm(total=total, initial=done, unit="batch", desc=config.model_id, disable=not workers.first) as bar:
        while training.iteration < per_epoch * config.epochs:
            if training.iteration % per_epoch == 0:
                shuffle(training.order)
            start = training.iteration % per_epoch * subset

            def step(batch: int, loss: float) -> None:
                bar.update()
                bar.set_postfix(iteration=training.iteration + 1, loss=f"{loss:.3f}")
                after_batch(training.iteration + 1, batch)

            line = training.iterate([pairs[i] for i in training.order[start : start + subset]], step)
            state = training.state()
            if run:
                run.keep(state, line)

    summary: dict[str, Any] = {}
    if run:
        summary = training.save(config.out)
        run.finish(summary)
    return workers.agree(summary)


class _Training:
    """All that changes while a run goes on."""

    def __init__(
        self,
        config: PretrainConfig,
        model: nn.Module,
        pairs: list[Pair],
        evaluation: Evaluation,
        settings: dict[str, Any],
        workers: Workers,
    ) -> None:
        self.config, self.model, self.evaluation, self.settings = config, model, evaluation, settings
        self.workers = workers
        workers.agree_on([*model.parameters(), *model.buffers()])
        if not workers.first:
            # Each worker drops out its own way; what must be alike is told by the first.
            torch.manual_seed(config.seed + 7919 * workers.rank)
        self.device = next(model.parameters()).device
        for frozen, name in ((config.freeze_text, "encoder_t"), (config.freeze_image, "encoder_v")):
            if frozen:
                getattr(model, name).requires_grad_(False)
        # Before the classifier becomes the head: it counts among the parameters of its own, as in the paper's code.
        self.optimizer = objective.optimizer(model, config.learning_rate)
        self.task = objective.clustering_task(config.tasks)
        if self.task:
            model.classifier = self.head
        self.order = list(range(len(pairs)))
        self.iteration = 0
        self.probe, self.zero_paper, self.zero_honest = Curve(), Curve(), Curve()
        self.aurocs: list[float] = []

    @property
    def head(self) -> nn.Linear:
        return getattr(self.model, f"head{self.task}")

    def iterate(self, subset: list[Pair], step: Callable[[int, float], None]) -> dict[str, Any]:
        """One subset: cluster, train one pass, evaluate. Gives the line for the metrics."""
        began = time.monotonic()
        labels, cached = self._cluster(subset) if self.task else (None, None)
        losses = self._train(subset, labels, cached, step)
        self.iteration += 1
        line: dict[str, Any] = {
            "iteration": self.iteration,
            "loss": float(np.mean([sum(one.values()) for one in losses])),
            "losses": {task: float(np.mean([one[task] for one in losses])) for task in losses[0]},
        }
        if labels is not None:
            line["cluster_sizes"] = np.bincount(labels.cpu(), minlength=self.config.k).tolist()
        return line | self._evaluate() | {"seconds": time.monotonic() - began}

    @torch.no_grad()
    def _cluster(self, subset: list[Pair]) -> tuple[torch.Tensor, Embedded]:
        """Pseudo labels [N] and the embeddings they come from; the head starts anew."""
        self.model.eval()
        batches = self._batches(len(subset))
        parts = []
        for batch in batches:
            with self._precision():
                own = embed_for_clusters(self.model, [subset[i] for i in self.workers.share(batch)], self.task)
            parts.append(self._gathered(own, len(batch)))
        rows = [i for batch in batches for i in batch]
        back = torch.argsort(torch.tensor(rows))
        whole = Embedded(*(torch.cat([getattr(one, n) for one in parts])[back] for n in ("text", "image", "pair")))
        found = None
        if self.workers.first:
            config = self.config
            found = clusters.pseudo_labels(whole.pair.cpu().numpy(), config.k, config.seed, config.preprocess)
        self.head.reset_parameters()
        self.workers.agree_on(self.head.parameters())
        return torch.tensor(self.workers.agree(found), dtype=torch.int64, device=self.device), whole

    def _train(
        self,
        subset: list[Pair],
        labels: torch.Tensor | None,
        cached: Embedded | None,
        step: Callable[[int, float], None],
    ) -> list[dict[str, float]]:
        """One pass over a subset; weighted losses by task, one dict a batch."""
        # An adapter behind a frozen encoder still learns.
        frozen = cached is not None and not hasattr(self.model, "adapter_t")
        keep_text, keep_image = frozen and self.config.freeze_text, frozen and self.config.freeze_image
        keep_image = keep_image and self.task == "1"
        self.model.train()
        found = []
        for number, batch in enumerate(self._batches(len(subset)), start=1):
            rows = self.workers.share(batch)
            with self._precision():
                own = embed(
                    self.model,
                    [subset[i] for i in rows],
                    text=cached.text[rows] if keep_text else None,
                    image=cached.image[rows] if keep_image else None,
                )
            embedded = self._gathered(own, len(batch))
            target = None if labels is None else labels[batch]
            losses = objective.losses(self.model, embedded, self.config.tasks, target, self.config.temperature)
            total = torch.stack(list(losses.values())).sum()
            if not torch.isfinite(total):
                raise RuntimeError(f"iteration {self.iteration + 1}, batch {number}: the loss is {total.item()}")
            self.optimizer.zero_grad()
            total.backward()
            self.workers.sum_gradients(self.model)
            self.optimizer.step()
            found.append({task: loss.item() for task, loss in losses.items()})
            step(number, total.item())
        return found

    def _batches(self, count: int) -> list[order.Batch]:
        found = self.workers.agree(order.shuffled(count, self.config.batch))
        if len(found[-1]) < self.workers.count and len(found) > 1:
            found[-2:] = [found[-2] + found[-1]]
        return found

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bfloat16)

    def _gathered(self, own: Embedded, total: int) -> Embedded:
        return Embedded(*(self.workers.gather(part.float(), total) for part in (own.text, own.image, own.pair)))

    def _evaluate(self) -> dict[str, Any]:
        config, line = self.config, {}
        if not self.workers.first:
            return line
        if self.evaluation.labelled is not None:
            data = self.evaluation.labelled
            train, test = (embed_all(self.model, part, config.batch) for part in (data.train, data.test))
            order.skip_passes(protocols.PROBE_PASSES[config.k])
            found, dev = protocols.probe(train, test, data, config.k, config.probe_strength, config.seed)
            self.probe.add(found, dev)
            line["probe"] = found.f1 | {"dev_tv": dev}
            if self.task:
                order.skip_passes(protocols.ZERO_SHOT_PASSES[config.k])
                zero = protocols.zero_shot(self.model.classifier, train, test, data, config.k)
                self.zero_paper.add(zero.paper, zero.train)
                self.zero_honest.add(zero.honest, zero.train)
                line["zero_shot"] = {"test_labels_map": zero.paper.f1, "training_labels_map": zero.honest.f1}
        if self.evaluation.news is not None:
            pairs, labels = self.evaluation.news
            order.skip_passes(protocols.FAKENEWS_PASSES)
            self.aurocs.append(
                protocols.auroc(labels, protocols.mismatch(self.model, embed_all(self.model, pairs, config.batch)))
            )
            line["fakenews_auroc"] = self.aurocs[-1]
        return line

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": self.workers.each(order.random_state()),
            "order": self.order,
            "iteration": self.iteration,
            "curves": [curve.plain() for curve in (self.probe, self.zero_paper, self.zero_honest)],
            "aurocs": self.aurocs,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.order, self.iteration = state["order"], state["iteration"]
        self.probe, self.zero_paper, self.zero_honest = (Curve.of(plain) for plain in state["curves"])
        self.aurocs = state["aurocs"]
        order.restore_random_state(state["random"][self.workers.rank])

    def save(self, out: Path) -> dict[str, Any]:
        """Writes state dict, logs and figures; gives what is worth printing."""
        name = f"{self.config.model_id}_{self.config.seed}"
        checkpoint = out / "state_dict" / f"{name}.pt"
        with replacing(checkpoint) as part:
            torch.save(self.model.state_dict(), part)
        summary: dict[str, Any] = {"mode": self.settings["mode"], "checkpoint": str(checkpoint.relative_to(out))}
        data = self.evaluation.labelled
        if data is not None:
            summary["probe"] = report(self.probe, self.probe)
            log(out / "log" / f"linear-probe_{name}.json", self.settings, self.probe, summary["probe"])
            figures.curve(out / f"linear-probe_{name}.png", self.probe, "linear probe")
            if self.config.k == 4:
                title = "linear probe, last iteration"
                figures.confusion(
                    out / f"confusion_{name}.png",
                    protocols.relations(data.test),
                    self.probe.test[-1].flags["tv"],
                    title,
                )
        if data is not None and self.task:
            summary["zero_shot"] = report(self.zero_paper, self.zero_honest)
            path = out / "log" / f"zero-shot_{self.config.model_id}.json"
            log(path, self.settings, self.zero_paper, summary["zero_shot"], aucs=self.aurocs)
            figures.curve(out / f"zero-shot_{name}.png", self.zero_honest, "zero-shot, mapped by training labels")
        if self.aurocs:
            summary["fakenews_auroc"] = {"paper": max(self.aurocs), "last": self.aurocs[-1]}
        return summary


def _sizes(config: PretrainConfig, pairs: list[Pair]) -> tuple[int, int]:
    """Pairs used and pairs of a subset; DataError when they don't fit."""
    if config.tasks not in objective.TASKS:
        raise ValueError(f"tasks {config.tasks!r}: not one of {', '.join(objective.TASKS)}")
    if config.k not in protocols.PROBE_PASSES:
        raise ValueError(f"k is {config.k}, not 2 or 4")
    size = config.size if config.size is not None else min(PAPER_SIZE, len(pairs))
    if not 0 < size <= len(pairs):
        raise DataError(f"size is {size}, the data set has {len(pairs)} pairs")
    subset = config.subset if config.subset is not None else min(PAPER_SUBSET, size)
    if not 0 < subset <= size:
        raise DataError(f"subsets of {subset} pairs do not fit into {size}")
    task = objective.clustering_task(config.tasks)
    if task and config.k > subset:
        raise DataError(f"k is {config.k}, but a subset has only {subset} pairs to cluster")
    if task:
        check_sides(pairs[:size], task)
    return size, subset


def _settings(
    config: PretrainConfig, size: int, subset: int, pairs: list[Pair], evaluation: Evaluation, workers: Workers
) -> dict[str, Any]:
    data = {"pairs": digest(pairs)}
    if evaluation.labelled is not None:
        data |= {"train": digest(evaluation.labelled.train), "test": digest(evaluation.labelled.test)}
    if evaluation.news is not None:
        data["news"] = digest(evaluation.news[0])
    fields = {key: value for key, value in asdict(config).items() if key not in ("out", "force")}
    about = {"mode": config.mode(workers), **fields, "size": size, "subset": subset, "processes": workers.count}
    return {**about, "data_sha256": data}
