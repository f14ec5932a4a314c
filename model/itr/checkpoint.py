"""Published state dicts: read without running their code, renamed, placed into a model, kept as safetensors.

`python -m itr import` calls convert; whoever trains or exports calls load, on a published file or an imported folder.
"""

import hashlib
import pickle
import re
import zipfile
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import yaml
from torch import Tensor, nn

from itr import folder, towers
from itr.detect import Unplaced, Variant, detect, listed
from itr.single_tower import Lxmert, VisualBert
from itr.two_tower import POOLINGS, TwoTower

MANIFEST = "checkpoint.yaml"
WEIGHTS = "weights.safetensors"
FORMAT = 1

State = dict[str, Tensor]

# transformers 5 renamed the ViT's modules; published keys are those of 4.24. CLIP's encoder has "layers", not "layer".
_VIT = tuple(
    (re.compile(r"^encoder_v\.encoder\.layer\.(\d+)\." + old), r"encoder_v.layers.\1." + new)
    for old, new in (
        (r"attention\.attention\.query\.", "attention.q_proj."),
        (r"attention\.attention\.key\.", "attention.k_proj."),
        (r"attention\.attention\.value\.", "attention.v_proj."),
        (r"attention\.output\.dense\.", "attention.o_proj."),
        (r"intermediate\.dense\.", "mlp.fc1."),
        (r"output\.dense\.", "mlp.fc2."),
        (r"layernorm_before\.", "layernorm_before."),
        (r"layernorm_after\.", "layernorm_after."),
    )
)


_LEGACY = {("bert", "vit"), ("roberta", "vit")}


@dataclass(frozen=True)
class Checkpoint:
    """A variant and its weights, under the present names of its modules."""

    variant: Variant
    state: State
    source: str  # file name and digest of the published file
    dropped: list[str] = field(default_factory=list)
    # Which head the classifier is the same module as: its classes are then cluster numbers, not relations.
    clustering_head: int | None = None
    legacy: bool = False

    def build(self, attention: str = "sdpa") -> nn.Module:
        """The model with these weights, in eval mode."""
        model = self.variant.build(attention)
        model.load_state_dict(self.state, strict=True, assign=True)
        return model.eval()


def load(path: Path, pool: tuple[str, str] | None = None) -> Checkpoint:
    """A published state dict (a file) or what convert wrote (a folder)."""
    if path.is_dir():
        if pool:
            raise ValueError(f"{path} is imported, its pooling is settled; --pool goes with a published file")
        return _read_folder(path)
    return place(read_state(path), source=origin(path), pool=pool)


def origin(path: Path) -> str:
    """A checkpoint file's name and digest."""
    return f"{path.name} sha256:{_digest(path)}"


def convert(path: Path, out: Path, force: bool, pool: tuple[str, str] | None = None) -> Checkpoint:
    """Reads a published state dict and writes it as a folder of weights.safetensors and checkpoint.yaml."""
    with folder.fresh(out, MANIFEST, force) as work:
        found = load(path, pool)
        write(found, work)
    return found


def write(checkpoint: Checkpoint, out: Path) -> None:
    """The two files of an imported checkpoint, into a folder that is there."""
    safetensors.torch.save_file({key: value.contiguous() for key, value in checkpoint.state.items()}, out / WEIGHTS)
    about = {
        "format": FORMAT,
        "variant": describe(checkpoint.variant),
        "source": checkpoint.source,
        "dropped": checkpoint.dropped,
        "clustering_head": checkpoint.clustering_head,
        "legacy": checkpoint.legacy,
        "weights_sha256": _digest(out / WEIGHTS),
    }
    (out / MANIFEST).write_text(yaml.safe_dump(about, sort_keys=False), encoding="utf-8")


def read_state(path: Path) -> State:
    """The tensors of a file written by torch.save, on the CPU. ValueError says what is wrong with the file."""
    if not path.is_file():
        raise ValueError(f"{path} is no file")
    with path.open("rb") as file:
        start = file.read(4)
    if not start:
        raise ValueError(f"{path} is empty")
    if start == b"PK\x03\x04":
        if not zipfile.is_zipfile(path):
            raise ValueError(f"{path} is cut off: its table of contents, which stands last, is missing. Fetch it again")
        if code := torch.serialization.get_unsafe_globals_in_checkpoint(path):
            raise ValueError(
                f"{path} wants to run code when it is read ({listed(code)}), so it is not read. "
                "A state dict needs none: save model.state_dict() alone"
            )
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} is no state dict that can be read without running its code: {str(error).splitlines()[0]}"
        ) from error
    except (RuntimeError, EOFError, OSError, KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"{path} is damaged or no file of torch.save: {error}") from error
    if not isinstance(found, dict) or not found:
        raise ValueError(f"{path} holds a {type(found).__name__}, not a state dict")
    if strange := [
        str(key) for key, value in found.items() if not isinstance(value, Tensor) or not isinstance(key, str)
    ]:
        raise ValueError(
            f"{path} holds values that are no tensors under {listed(strange)}: give model.state_dict() alone"
        )
    return dict(found)


def place(state: State, source: str, pool: tuple[str, str] | None = None) -> Checkpoint:
    """Finds the variant and the place of every tensor. Unplaced lists the keys that have none."""
    dropped = [key for key in state if key.endswith(".position_ids")]
    kept = {_renamed(key): value for key, value in state.items() if key not in dropped}
    kept, lost = _without_legacy_heads(kept)
    legacy = "head4.weight" in state
    variant = detect({key: tuple(value.shape) for key, value in kept.items()})
    _compare(kept, variant)
    if legacy != (pool is not None):
        raise ValueError(
            "this is a checkpoint of the legacy class (it has head4), which does not say how it pooled: "
            "give --pool TEXT,IMAGE with cls or mean each"
            if legacy
            else "--pool goes with checkpoints of the legacy class only; this one pools by its poolers"
        )
    if pool:
        variant = _with_pool(variant, pool)
    head = next((i for i in (1, 2, 3) if _same_head(kept, i)), None)
    # Published files share storage between the classifier and its head; trained further, one must not move the other.
    kept = {key: _own(key, value) for key, value in kept.items()}
    return Checkpoint(variant, kept, source, dropped + lost, head, legacy)


def describe(variant: Variant) -> dict[str, Any]:
    """A variant as plain values."""
    if isinstance(variant, TwoTower):
        about = asdict(variant) | {"text": towers.describe(variant.text), "image": towers.describe(variant.image)}
    else:
        about = asdict(variant)
    return {"family": variant.family, "name": variant.name, **about}


def _parse(about: dict[str, Any]) -> Variant:
    fields = {key: value for key, value in about.items() if key not in ("family", "name")}
    if about["family"] == TwoTower.family:
        return TwoTower(**fields | {"text": towers.parse(fields["text"]), "image": towers.parse(fields["image"])})
    return {variant.name: variant for variant in (VisualBert, Lxmert)}[about["name"]](**fields)


def _read_folder(path: Path) -> Checkpoint:
    manifest = path / MANIFEST
    if not manifest.is_file():
        raise ValueError(f"{path} is no imported checkpoint: it has no {MANIFEST}")
    about = yaml.safe_load(manifest.read_text(encoding="utf-8"))
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise ValueError(f"{manifest} is not of format {FORMAT}")
    weights = path / WEIGHTS
    if not weights.is_file():
        raise ValueError(f"{weights} is missing")
    if (digest := _digest(weights)) != about["weights_sha256"]:
        raise ValueError(f"{weights} has SHA-256 {digest}, {MANIFEST} says {about['weights_sha256']}")
    variant, state = _parse(about["variant"]), safetensors.torch.load_file(weights)
    _compare(state, variant)
    return Checkpoint(variant, state, about["source"], about["dropped"], about["clustering_head"], about["legacy"])


def _renamed(key: str) -> str:
    for old, new in _VIT:
        if old.match(key):
            return old.sub(new, key)
    return key


def _without_legacy_heads(state: State) -> tuple[State, list[str]]:
    """The legacy class had a binary head1 besides, and so numbered the heads of the three clusterings from 2."""
    if "head4.weight" not in state:
        return state, []
    moved = {f"head{i}.{part}": f"head{i - 1}.{part}" for i in (2, 3, 4) for part in ("weight", "bias")}
    lost = [key for key in ("head1.weight", "head1.bias") if key in state]
    return {moved.get(key, key): value for key, value in state.items() if key not in lost}, lost


def _with_pool(variant: Variant, pool: tuple[str, str]) -> Variant:
    if not isinstance(variant, TwoTower) or (variant.text.kind, variant.image.kind) not in _LEGACY:
        raise ValueError(f"{variant.name} is no variant of the legacy class, yet the file has head4")
    if wrong := [name for name in pool if name not in POOLINGS[1:]]:
        raise ValueError(f"--pool: {wrong[0]!r} is not allowed, only cls and mean")
    return replace(variant, pool_text=pool[0], pool_image=pool[1])


def _compare(state: State, variant: Variant) -> None:
    """Every key in its place and of its shape, every number finite."""
    with torch.device("meta"):
        wanted = {key: tuple(value.shape) for key, value in variant.build().state_dict().items()}
    faults = []
    if missing := [key for key in wanted if key not in state]:
        faults.append(f"missing: {listed(missing)}")
    if unknown := [key for key in state if key not in wanted]:
        faults.append(f"without a place: {listed(unknown)}")
    shapes = [
        f"{key} {list(value.shape)} instead of {list(wanted[key])}"
        for key, value in state.items()
        if key in wanted and tuple(value.shape) != wanted[key]
    ]
    if shapes:
        faults.append(f"of another shape: {listed(shapes)}")
    if faults:
        raise Unplaced(f"looks like {variant.name}, but has keys\n  " + "\n  ".join(faults))
    counts = ".num_batches_tracked"
    if whole := [key for key, value in state.items() if not value.is_floating_point() and not key.endswith(counts)]:
        raise Unplaced(f"not floating-point numbers: {listed(whole)}")
    if wild := [key for key, value in state.items() if not value.is_meta and not bool(torch.isfinite(value).all())]:
        raise ValueError(f"NaN or infinite numbers in {listed(wild)}: the training that wrote this went astray")


def _same_head(state: State, number: int) -> bool:
    return all(
        not state[f"head{number}.{part}"].is_meta
        and torch.equal(state[f"head{number}.{part}"], state[f"classifier.{part}"])
        for part in ("weight", "bias")
    )


def _own(key: str, value: Tensor) -> Tensor:
    if not value.is_floating_point():
        return value
    return value.float().clone() if key.startswith(("head", "classifier")) else value.float()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
