"""`itr ocr | captions`: data sets filled from their pictures; arguments, and what is printed."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from itr.ingredients import CACHE

_EXAMPLES = argparse.RawDescriptionHelpFormatter
_RESUMES = "A killed run goes on when the same command is given again."


def register(jobs: Any) -> dict[str, Callable[[argparse.Namespace], int]]:
    """Adds the subcommands, and gives their functions by name."""
    ocr = jobs.add_parser(
        "ocr",
        help="read the words in a data set's pictures into its OCR column",
        formatter_class=_EXAMPLES,
        description="Writes the data set with the words that PP-OCR reads in its pictures, for pretrain --tasks 2.\n"
        f"A picture that cannot be read gets no words and is counted. {_RESUMES}",
        epilog="examples:\n"
        "  itr ocr posts.jsonl --out posts-ocr.jsonl\n"
        "  itr ocr twitter100k --out twitter100k-ocr --unspaced\n"
        "  itr pretrain --pairs posts-ocr.jsonl --tasks 2+4 --out run",
    )
    _data(ocr)
    ocr.add_argument("--unspaced", action="store_true", help="no space between lines, as in the paper's code")

    captions = jobs.add_parser(
        "captions",
        help="a substitute for captions: names of the things in a data set's pictures",
        formatter_class=_EXAMPLES,
        description="Writes the data set anew with names of the three ImageNet classes that EfficientNet-Lite0 finds\n"
        "likeliest in each picture, so that pretrain --tasks 3 can run without captions. It is a substitute: the\n"
        f"paper's captions are sentences of a captioning model.\n{_RESUMES}",
        epilog="example:\n"
        "  itr captions posts.jsonl --out posts-captions.jsonl\n"
        "  itr pretrain --pairs posts-captions.jsonl --tasks 3 --out run",
    )
    _data(captions)
    captions.add_argument(
        "--cache",
        type=Path,
        default=CACHE,
        help="where fetched packages are kept (default: ~/.cache/itrstream/itr)",
    )
    return {"ocr": _ocr, "captions": _captions}


def _data(job: argparse.ArgumentParser) -> None:
    job.add_argument("pairs", type=Path, help="Twitter100k folder, Parquet file or folder, or .jsonl")
    job.add_argument("--out", type=Path, required=True, help="data set to write, in the same layout")
    job.add_argument("--force", action="store_true", help="replace a data set that is there")


def _ocr(chosen: argparse.Namespace) -> int:
    from itr import filled, ocr

    return _print(filled.fill(chosen.pairs, chosen.out, ocr.filling("" if chosen.unspaced else " "), chosen.force))


def _captions(chosen: argparse.Namespace) -> int:
    from itr import captions, filled

    return _print(filled.fill(chosen.pairs, chosen.out, captions.filling(chosen.cache), chosen.force))


def _print(summary: dict[str, Any]) -> int:
    print(json.dumps(summary, ensure_ascii=False))
    return 0
