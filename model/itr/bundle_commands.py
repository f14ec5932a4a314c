"""`itr cam | calibrate`: what is done with a finished bundle; arguments, and what is printed."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

_EXAMPLES = argparse.RawDescriptionHelpFormatter


def register(jobs: Any) -> dict[str, Callable[[argparse.Namespace], int]]:
    """Adds the subcommands, and gives their functions by name."""
    fit = jobs.add_parser(
        "calibrate",
        help="fit a bundle's probabilities to your own posts",
        formatter_class=_EXAMPLES,
        description="Labels your posts and writes a calibration file for itrstream's model.calibration, as itrstream\n"
        "model calibrate does. Without labels it makes the mean score of each relation over the posts equal to\n"
        "its prior; with --verdicts it makes the relations that the posts name most likely.",
        epilog="examples:\n"
        "  itr calibrate model/bundles/itr-mini sample.jsonl --out mine.yaml\n"
        "  itr calibrate model/bundles/itr-mini sample.jsonl --priors 50,20,20,10 --out mine.yaml\n"
        "  itr calibrate model/bundles/itr-mini judged.jsonl --verdicts --out mine.yaml\n"
        "  itrstream run -c itrstream.yaml --set model.calibration=mine.yaml",
    )
    fit.add_argument("bundle", type=Path, help="folder of the bundle")
    fit.add_argument("posts", type=Path, help=".jsonl (post.v1 or text and image), Parquet, or a Twitter100k folder")
    how = fit.add_mutually_exclusive_group()
    how.add_argument(
        "--priors",
        type=_priors,
        metavar="P,P,P,P",
        help="shares of neither, image_adds, text_represented, both (default: those of the public Twitter label set)",
    )
    how.add_argument("--verdicts", action="store_true", help='fit to the "relation" that each post names')
    fit.add_argument("--out", type=Path, default=Path("calibration.yaml"), help="file to write (default: %(default)s)")
    fit.add_argument("--force", action="store_true", help="replace the file if it is there")
    return {"calibrate": _calibrate}


def _calibrate(chosen: argparse.Namespace) -> int:
    from itr import calibrate_posts, pairs

    found = calibrate_posts.calibrate(
        chosen.bundle,
        pairs.read(chosen.posts),
        chosen.out,
        chosen.priors or calibrate_posts.TWITTER_PRIORS,
        chosen.verdicts,
        chosen.force,
    )
    print(json.dumps(found, indent=2))
    return 0


def _priors(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if len(found) != 4 or not all(0 < prior < float("inf") for prior in found):
        raise argparse.ArgumentTypeError(f"{text!r} is not four numbers above 0, as in 33.6,25.6,22,18.8")
    return found
