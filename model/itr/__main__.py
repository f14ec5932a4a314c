"""`python -m itr`: one subcommand a job. Heavy imports wait until a job is chosen, so that --help is quick."""

import argparse
import sys
from pathlib import Path

from itr import bundle_commands, training_commands


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
    mini.add_argument(
        "--out", type=Path, required=True, help="folder of the bundle; a bundle that is there is replaced"
    )
    mini.add_argument(
        "--cache",
        type=Path,
        default=Path.home() / ".cache" / "itrstream" / "itr",
        help="where fetched packages are kept (default: %(default)s)",
    )
    mini.add_argument("--seed", type=int, default=17)

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

    imported = jobs.add_parser(
        "import",
        help="read a published state dict, find its variant, and keep it as safetensors",
        epilog="example: python -m itr import bertweet-base+vit-base-patch16-224-in21k\\(0\\)_k4_0.pt --out itr-paper",
    )
    imported.add_argument("checkpoint", type=Path, help="a file of torch.save(model.state_dict())")
    imported.add_argument("--out", type=Path, required=True, help="folder to write")
    imported.add_argument("--force", action="store_true", help="replace an imported checkpoint that is there")
    imported.add_argument(
        "--pool", type=_pair, metavar="TEXT,IMAGE", help="how a legacy checkpoint pooled: cls or mean, for each tower"
    )

    export = jobs.add_parser(
        "export",
        help="make a bundle of a published or imported two-tower or CLIP checkpoint",
        epilog="example: python -m itr export itr-paper --tokenizer bertweet-base --out bundles/itr-paper",
    )
    export.add_argument("checkpoint", type=Path, help="a published state dict or a folder that import wrote")
    export.add_argument(
        "--tokenizer",
        type=Path,
        required=True,
        help="folder of the text encoder's tokenizer files, which no checkpoint holds: vocab.txt (BERT), "
        "vocab.txt and bpe.codes (BERTweet), vocab.json and merges.txt (RoBERTa, CLIP)",
    )
    export.add_argument("--out", type=Path, required=True, help="folder of the bundle")
    export.add_argument("--name", help="the bundle's name (default: the folder's)")
    export.add_argument(
        "--relations",
        type=_numbers,
        default=(0, 1, 2, 3),
        metavar="R,R,R,R",
        help="the relation of each class of a classifier whose classes are clusters (default: 0,1,2,3)",
    )
    export.add_argument("--pool", type=_pair, metavar="TEXT,IMAGE", help="as for import")
    export.add_argument("--half", action="store_true", help="towers in float16, for accelerators: half the size")
    export.add_argument("--force", action="store_true", help="replace a bundle that is there")

    others = training_commands.register(jobs) | bundle_commands.register(jobs)

    chosen = parser.parse_args(arguments)
    try:
        return (
            {"mini": _mini, "verify": _verify, "wordpiece-golden": _wordpieces, "import": _import, "export": _export}
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

    build(MiniConfig(out=chosen.out, cache=chosen.cache, seed=chosen.seed))
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


def _import(chosen: argparse.Namespace) -> int:
    from itr import checkpoint

    found = checkpoint.convert(chosen.checkpoint, chosen.out, chosen.force, chosen.pool)
    print(f"{chosen.out}: {found.variant.name}, {len(found.state)} tensors; dropped {len(found.dropped)}")
    if found.clustering_head:
        print(f"its classifier is head{found.clustering_head}: its classes are clusters, in an order of their own")
    return 0


def _export(chosen: argparse.Namespace) -> int:
    from itr.paper_export import ExportConfig, export

    config = ExportConfig(
        source=chosen.checkpoint,
        tokenizer=chosen.tokenizer,
        out=chosen.out,
        name=chosen.name or chosen.out.resolve().name,
        relations=chosen.relations,
        pool=chosen.pool,
        half=chosen.half,
        force=chosen.force,
    )
    for name, value in export(config).items():
        print(f"{name:12} largest difference {value:.2e}")
    return 0


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers with commas between") from None


def _pair(text: str) -> tuple[str, str]:
    parts = text.split(",")
    if len(parts) != 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not two words with a comma between")
    return parts[0], parts[1]


if __name__ == "__main__":
    sys.exit(main())
