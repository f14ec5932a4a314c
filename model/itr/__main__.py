"""`python -m itr`: one subcommand a job. Heavy imports wait until a job is chosen, so that --help is quick."""

import argparse
import sys
from pathlib import Path

from itr import bundle_commands, checkpoint_commands, data_commands, training_commands
from itr.ingredients import CACHE


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="itr", description="Trains and exports image–text relation models for itrstream."
    )
    jobs = parser.add_subparsers(dest="job", required=True, metavar="JOB")

    mini = jobs.add_parser(
        "mini",
        help="build the bundle itr-mini from packages and generated data",
        epilog="example: python -m itr mini --out model/bundles/itr-mini",
    )
    mini.add_argument("--out", type=Path, required=True, help="folder of the bundle")
    mini.add_argument("--force", action="store_true", help="replace a bundle that is there")
    mini.add_argument(
        "--cache",
        type=Path,
        default=CACHE,
        help="where fetched packages are kept (default: ~/.cache/itrstream/itr)",
    )
    mini.add_argument("--seed", type=int, default=17)
    mini.add_argument(
        "--study",
        type=Path,
        metavar="FILE",
        help="measure anew what pre-training and a head of one's own bring (half an hour more), for the card of this "
        "build if it is model/itr/study.json; needs the extra train",
    )

    verify = jobs.add_parser(
        "verify",
        help="check a bundle's digests and replay its golden cases; needs no torch",
        epilog="example: python -m itr verify model/bundles/itr-mini",
    )
    verify.add_argument("bundle", type=Path)

    pieces = jobs.add_parser(
        "wordpiece-golden", help="write token ids of generated strings by Hugging Face's BERT tokenizer as JSON lines"
    )
    pieces.add_argument("--vocab", type=Path, required=True)
    pieces.add_argument("--out", type=Path, required=True)

    parity = jobs.add_parser(
        "parity",
        help="compare Hugging Face and PyTorch with Go and ONNX Runtime on 100 posts, from their bytes on",
        epilog="example: python -m itr parity itr-paper --tokenizers bertweet-base --itrstream bin/itrstream --out out",
    )
    parity.add_argument(
        "checkpoint",
        type=Path,
        nargs="?",
        help="as for export; without it, random models in full size, see --tokenizers",
    )
    parity.add_argument(
        "--tokenizers",
        type=Path,
        required=True,
        help="folder of the checkpoint's tokenizer files; for random models, of the folders bertweet, clip and bert",
    )
    parity.add_argument("--itrstream", type=Path, required=True, help="the Go program")
    parity.add_argument(
        "--out", type=Path, required=True, help="folder for bundles and references; what misses a goal stays there"
    )
    parity.add_argument("--json", action="store_true", help="print one JSON list instead of a table")

    others = {}
    for group in (checkpoint_commands, data_commands, training_commands, bundle_commands):
        others |= group.register(jobs)

    chosen = parser.parse_args(arguments)
    try:
        return (
            {
                "mini": _mini,
                "verify": _verify,
                "wordpiece-golden": _wordpieces,
                "parity": _parity,
            }
            | others
        )[chosen.job](chosen)
    except ModuleNotFoundError as error:
        extra = "ocr" if chosen.job == "ocr" else "train"
        print(f"itr {chosen.job}: needs {error.name}, not installed: pip install -e 'model[{extra}]'", file=sys.stderr)
        return 1
    except (ValueError, RuntimeError, OSError) as error:
        print(f"itr {chosen.job}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"itr {chosen.job}: interrupted", file=sys.stderr)
        return 130


def _mini(chosen: argparse.Namespace) -> int:
    from itr.config import MiniConfig
    from itr.mini import build

    if chosen.out.exists() and any(chosen.out.iterdir()) and not chosen.force:
        raise ValueError(f"{chosen.out} is there already; --force replaces it if it is a bundle")
    build(MiniConfig(chosen.out, chosen.cache, chosen.seed, chosen.study))
    return 0


def _verify(chosen: argparse.Namespace) -> int:
    from itr.verify import differences

    worst = differences(chosen.bundle)
    for name, value in worst.items():
        print(f"{name:12} largest difference {value:.2e}")
    return 0


def _wordpieces(chosen: argparse.Namespace) -> int:
    from itr.golden import tokenizer_lines

    chosen.out.write_text(
        "\n".join(tokenizer_lines(chosen.vocab, count=800, max_tokens=128, seed=17)) + "\n", encoding="ascii"
    )
    return 0


def _parity(chosen: argparse.Namespace) -> int:
    import json

    from itr import parity

    found = parity.run(parity.ParityConfig(chosen.tokenizers, chosen.itrstream, chosen.out, chosen.checkpoint))
    print(json.dumps([one.described() for one in found], indent=1) if chosen.json else parity.table(found))
    return 1 if any(one.missed for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
