"""`itr cam | calibrate`: what is done with a finished bundle; arguments, and what is printed."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from itr.bundle import LABELS

_EXAMPLES = argparse.RawDescriptionHelpFormatter


def register(jobs: Any) -> dict[str, Callable[[argparse.Namespace], int]]:
    """Adds the subcommands, and gives their functions by name."""
    cam = jobs.add_parser(
        "cam",
        help="show what in a picture and its text speaks for a relation",
        formatter_class=_EXAMPLES,
        description="Draws the picture beside the bundle's activation map, and what each word contributes: what its\n"
        "leaving takes from the relation's logit, against the mean of the four.",
        epilog="examples:\n"
        '  itr cam model/bundles/itr-mini cat.jpg "My cat, asleep again" --out cat.png\n'
        '  itr cam model/bundles/itr-mini cat.jpg "My cat, asleep again" --all --json cat.json --out cat.png\n'
        '  itr cam bundles/itr-paper cat.jpg "My cat, asleep again" --eigen-smooth --out cat.png',
    )
    cam.add_argument("bundle", type=Path, help="folder of the bundle")
    cam.add_argument("image", type=Path, help="picture file")
    cam.add_argument("text")
    cam.add_argument("--out", type=Path, required=True, help="PNG to write")
    which = cam.add_mutually_exclusive_group()
    which.add_argument("--relation", choices=LABELS, help="explain this one (default: the one with the highest score)")
    which.add_argument("--all", action="store_true", help="heat maps of all four, the one with the highest score first")
    cam.add_argument("--json", type=Path, metavar="FILE", help="also write maps and words' contributions as JSON")
    cam.add_argument(
        "--eigen-smooth",
        action="store_true",
        help="first principal component of the map's channels instead of their sum, as in the paper's figures; "
        "for bundles that itr export made",
    )
    cam.add_argument("--force", action="store_true", help="replace files that are there")

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
    return {"cam": _cam, "calibrate": _calibrate}


def _cam(chosen: argparse.Namespace) -> int:
    from itr import cam_figure
    from itr.eigen import EigenMaps
    from itr.explain import explain
    from itr.folder import write_json
    from itr.labeller import UNREADABLE, Labeller

    for path in (chosen.out, chosen.json):
        if path is not None and path.exists() and not chosen.force:
            raise ValueError(f"{path} is there already; --force replaces it")
    labeller = Labeller(chosen.bundle)
    encoded = chosen.image.read_bytes()
    try:
        pixels = labeller.pixels(encoded)
    except UNREADABLE as error:
        raise ValueError(f"{chosen.image} cannot be read as a picture: {error}") from error
    eigen = EigenMaps(chosen.bundle, labeller.manifest) if chosen.eigen_smooth else None
    found = explain(labeller, pixels, chosen.text, eigen)
    first = LABELS.index(chosen.relation) if chosen.relation else found.relation
    others = [relation for relation in range(len(LABELS)) if relation != first] if chosen.all else []
    cam_figure.draw(chosen.out, found, [first, *others])
    if chosen.json is not None:
        about = {"bundle": labeller.digest, "image": str(chosen.image), "text": chosen.text}
        write_json(chosen.json, about | found.to_json())
    print(f"{LABELS[found.relation]} {found.scores[found.relation]:.2f}; wrote {chosen.out}")
    for row in found.strongest(first, len(found.words)):
        print(f"{found.by_word[row, first]:+8.3f}  {found.words[row]}")
    return 0


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
