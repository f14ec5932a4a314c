"""One protocol with several seeds: each figure's mean and how much it varies, in seeds.json and as a table.

Every seed has a folder of its own, seed-N, and what it found stays there, so that a killed command goes on with the
seeds that are left.
"""

import argparse
import json
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from itr.folder import write_json

PUBLISHED = (0, 32, 128, 256, 1024, 2048)  # of the paper's code
PLACE = "{seed}"  # in the name of a checkpoint
SUMMARY, FOUND = "seeds.json", "found.json"


def parse(text: str) -> tuple[int, ...]:
    """`3`: the first three published ones; `0,32`: these."""
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor numbers with commas between") from None
    found = numbers if len(numbers) > 1 else PUBLISHED[: numbers[0]] if 0 < numbers[0] <= len(PUBLISHED) else ()
    if len(set(found)) < 2 or len(set(found)) < len(found) or min(found) < 0:
        raise argparse.ArgumentTypeError(
            f"{text!r}: give 2 to {len(PUBLISHED)}, for as many of {', '.join(map(str, PUBLISHED))}, or a list of "
            "different seeds"
        )
    return found


def of(chosen: Namespace, seed: int) -> Namespace:
    """The arguments of one seed. A checkpoint's name may hold {seed}."""
    checkpoint = chosen.checkpoint
    if checkpoint:
        checkpoint = Path(str(checkpoint).replace(PLACE, str(seed)))
    out = chosen.out / f"seed-{seed}"
    # What a killed command left in this folder is its own.
    return Namespace(**{**vars(chosen), "seed": seed, "checkpoint": checkpoint, "out": out, "resumes": True})


def run(
    chosen: Namespace, one: Callable[[Namespace], dict[str, Any]], settings: Callable[[Namespace], dict[str, Any]]
) -> dict[str, Any]:
    """Runs `one` for every seed, and gives and writes what they found. ValueError when out holds another command's."""
    summary = chosen.out / SUMMARY
    if summary.exists() and not chosen.force:
        raise ValueError(f"{summary} is there already; --force replaces it")
    found = []
    for seed in chosen.seeds:
        own = of(chosen, seed)
        found.append(_kept(own, settings(own)) or one(own))
        write_json(own.out / FOUND, {"settings": settings(own), "found": found[-1]})
    whole = {"seeds": list(chosen.seeds), **spread(found)}
    write_json(summary, whole)
    return whole


def _kept(own: Namespace, settings: dict[str, Any]) -> dict[str, Any] | None:
    """What this seed has found before."""
    path = own.out / FOUND
    if own.force or not path.is_file():
        return None
    kept = json.loads(path.read_text(encoding="utf-8"))
    if kept["settings"] != json.loads(json.dumps(settings)):
        raise ValueError(f"{path} is of a command with other settings; name another folder, or replace it with --force")
    return kept["found"]


def spread(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean, sample standard deviation (n − 1) and each value of every figure that all have, at its place."""
    whole: dict[str, Any] = {}
    for key, first in found[0].items():
        values = [one.get(key) for one in found]
        if isinstance(first, dict) and all(isinstance(value, dict) for value in values):
            whole[key] = spread(values)
        elif isinstance(first, float) and all(isinstance(value, float) for value in values):
            whole[key] = {"mean": float(np.mean(values)), "sd": float(np.std(values, ddof=1)), "each": values}
    return whole


def lines(whole: dict[str, Any], name: str = "") -> Iterator[str]:
    """name mean ± sd, one figure a line."""
    for key, value in whole.items():
        if isinstance(value, dict):
            below = f"{name} {key}".strip()
            if value.keys() == {"mean", "sd", "each"}:
                yield f"{below:45} {value['mean']:.4f} ± {value['sd']:.4f}"
            else:
                yield from lines(value, below)
