"""`itr import | export`: arguments, and what is printed."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from itr.ingredients import CACHE

_RELATIONS = 4


def register(jobs: Any) -> dict[str, Callable[[argparse.Namespace], int]]:
    """Adds the subcommands, and gives their functions by name."""
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
        help="make a bundle of a two-tower or CLIP checkpoint, or of what itr pretrain or finetune saved",
        epilog="examples: itr export itr-paper --tokenizer bertweet-base --out bundles/itr-paper, "
        "itr export run/state_dict/NAME.pt --out bundles/mine --int8 --posts posts.jsonl",
    )
    export.add_argument(
        "checkpoint", type=Path, help="a published state dict, a folder that import wrote, or what training saved"
    )
    export.add_argument(
        "--tokenizer",
        type=Path,
        help="folder of the text encoder's tokenizer files, which no checkpoint holds: vocab.txt (BERT), "
        "vocab.txt and bpe.codes (BERTweet), vocab.json and merges.txt (RoBERTa, CLIP); MiniLM's are fetched",
    )
    export.add_argument("--out", type=Path, required=True, help="folder of the bundle")
    export.add_argument("--name", help="the bundle's name (default: the folder's)")
    export.add_argument(
        "--relations",
        type=_numbers,
        default=tuple(range(_RELATIONS)),
        metavar="R,R,R,R",
        help="the relation of each class of a classifier whose classes are clusters (default: 0,1,2,3)",
    )
    export.add_argument("--pool", type=_pair, metavar="TEXT,IMAGE", help="as for import")
    smaller = export.add_mutually_exclusive_group()
    smaller.add_argument("--half", action="store_true", help="towers in float16, for accelerators: half the size")
    smaller.add_argument("--int8", action="store_true", help="towers in int8, for CPUs: a quarter of the size")
    export.add_argument(
        "--posts",
        type=Path,
        help="data set as for pretrain, whose first posts say what float16 or int8 costs (default: generated posts)",
    )
    export.add_argument("--cache", type=Path, default=CACHE, help="of packages (default: ~/.cache/itrstream/itr)")
    export.add_argument("--force", action="store_true", help="replace a bundle that is there")
    return {"import": _import, "export": _export}


def _import(chosen: argparse.Namespace) -> int:
    from itr import checkpoint

    found = checkpoint.convert(chosen.checkpoint, chosen.out, chosen.force, chosen.pool)
    print(f"{chosen.out}: {found.variant.name}, {len(found.state)} tensors; dropped {len(found.dropped)}")
    if found.clustering_head:
        print(f"its classifier is head{found.clustering_head}: its classes are clusters, in an order of their own")
    return 0


def _export(chosen: argparse.Namespace) -> int:
    from itr.paper_export import ExportConfig, export

    if chosen.posts and not (chosen.half or chosen.int8):
        raise ValueError("--posts goes with --half or --int8: float32 graphs are compared with the model itself")
    config = ExportConfig(
        source=chosen.checkpoint,
        tokenizer=chosen.tokenizer,
        out=chosen.out,
        name=chosen.name or chosen.out.resolve().name,
        relations=chosen.relations,
        pool=chosen.pool,
        half=chosen.half,
        int8=chosen.int8,
        posts=chosen.posts,
        cache=chosen.cache,
        force=chosen.force,
    )
    done = export(config)
    for name, value in done.differences.items():
        print(f"float32 {name:12} largest difference {value:.2e}")
    if done.cost:
        print(f"{config.arithmetic} against float32 over {done.cost.posts} posts ({done.cost.source}):")
        for name, value in done.cost.figures.items():
            print(f"  {name:30} {value:.4g}")
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
