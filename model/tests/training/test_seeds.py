"""Several seeds: the table, the numbers behind it, and commands that were killed."""

import argparse
import json
from pathlib import Path

import pytest

from itr import seeds


def test_counts_are_the_papers_and_lists_are_lists() -> None:
    assert seeds.parse("3") == (0, 32, 128)
    assert seeds.parse("7,0") == (7, 0)
    for wrong in ("1", "0", "7", "x", "1,1", "-1,2", "1,"):
        with pytest.raises(argparse.ArgumentTypeError):
            seeds.parse(wrong)


def test_mean_and_deviation_are_of_what_all_seeds_have() -> None:
    found = [{"paper": {"iteration": 3, "tv": value}, "maps": [1], "name": "x"} for value in (0.2, 0.4, 0.9)]
    whole = seeds.spread(found)
    # By hand: mean .5, squares .09 + .01 + .16 over n − 1 = 2.
    assert whole == {
        "paper": {"tv": {"mean": pytest.approx(0.5), "sd": pytest.approx(0.13**0.5), "each": [0.2, 0.4, 0.9]}}
    }
    assert [line.split() for line in seeds.lines(whole)] == [["paper", "tv", "0.5000", "±", "0.3606"]]
    found[1]["paper"] = None  # such as an epoch that no dev labels chose
    assert seeds.spread(found) == {}


def chosen(out: Path, **changes: object) -> argparse.Namespace:
    settings = {"out": out, "seeds": (5, 6), "checkpoint": Path("a_{seed}.pt"), "force": False, "resumes": False}
    return argparse.Namespace(**settings | changes)


def settings_of(own: argparse.Namespace) -> dict:
    return {"seed": own.seed, "checkpoint": str(own.checkpoint)}


def test_every_seed_has_its_checkpoint_and_a_killed_command_goes_on(tmp_path: Path) -> None:
    seen = []

    def one(own: argparse.Namespace) -> dict:
        seen.append((own.seed, str(own.checkpoint), own.out.name))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return {"auroc": own.seed / 10}

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        seeds.run(chosen(out), one, settings_of)
    assert not (out / "seeds.json").exists()
    whole = seeds.run(chosen(out), one, settings_of)
    assert seen == [(5, "a_5.pt", "seed-5"), (6, "a_6.pt", "seed-6"), (6, "a_6.pt", "seed-6")]
    assert whole["auroc"]["each"] == [0.5, 0.6]
    assert json.loads((out / "seeds.json").read_text()) == whole
    with pytest.raises(ValueError, match="is there already; --force"):
        seeds.run(chosen(out), one, settings_of)
    (out / "seeds.json").unlink()
    with pytest.raises(ValueError, match="other settings"):
        seeds.run(chosen(out, checkpoint=Path("b_{seed}.pt")), one, settings_of)
    assert len(seen) == 3
    seeds.run(chosen(out, force=True), one, settings_of)
    assert len(seen) == 5
