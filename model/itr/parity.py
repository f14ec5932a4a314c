"""Parity: what Hugging Face and PyTorch make of posts, from their bytes on, beside what Go and ONNX Runtime do.

`python -m itr parity` exports a checkpoint, or random ones of three variants in full size, as a bundle, writes what the
model itself makes of 100 posts as a folder of golden posts, and has `itrstream model verify` replay them. The reference
shares no step with the bundle but the weights: its pixels come from Hugging Face's processors, its activation maps
from autograd.
"""

import io
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPImageProcessorPil, ConvNextImageProcessorPil, ViTImageProcessorPil
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from transformers.models.resnet.modeling_resnet import ResNetBottleNeckLayer

from itr import checkpoint, golden, specimens
from itr.checkpoint import Checkpoint
from itr.golden import Outputs
from itr.paper_export import ExportConfig, export
from itr.reading import Words
from itr.specimens import Post
from itr.towers import BertText, ClipImage, ClipText, ImageTower, ResNetImage, RobertaText, VitImage
from itr.two_tower import TwoTower, TwoTowerModel

SEED = 17
POSTS = 100
GOAL = 1e-4  # largest difference of any number
PIXELS_OFF = 1e-3  # share of samples that may be more than one level off

# What random models are made of, and the folder of their tokenizer files.
VARIANTS = {
    "bertweet": TwoTower(RobertaText(vocabulary=64001, positions=130), VitImage()),
    "clip": TwoTower(ClipText(), ClipImage()),
    "bert": TwoTower(BertText(), ResNetImage()),
}
OUTPUTS = ("text", "image", "logits", "embedding", "similarity", "cam")


@dataclass(frozen=True)
class ParityConfig:
    """Where everything lies."""

    tokenizers: Path  # folder of a tokenizer's files, or of folders named as VARIANTS
    itrstream: Path  # the Go program
    out: Path  # folder for bundles and references; what misses its goal stays there
    source: Path | None = None  # checkpoint to compare; without it, random ones of VARIANTS


@dataclass(frozen=True)
class Parity:
    """How one variant came out."""

    variant: str
    replay: dict[str, Any]  # what itrstream model verify --json says
    largest: dict[str, float]  # absolute value of each output in the reference
    seconds: dict[str, float]

    @property
    def missed(self) -> list[str]:
        """The goals that were."""
        posts, errors = self.replay["posts"], self.replay["pixel_errors"]
        faults = [] if self.replay["equal_token_ids"] == posts else ["token ids"]
        faults += [] if errors["share_above_1"] <= PIXELS_OFF else ["pixels"]
        found = self.replay["largest_absolute_differences"]
        return faults + [name for name in OUTPUTS if not found[name] <= GOAL]

    def described(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self) | {"missed": self.missed}


def run(config: ParityConfig) -> list[Parity]:
    """Compares, and leaves bundles and references only of what misses a goal."""
    if not shutil.which(config.itrstream):
        raise ValueError(f"{config.itrstream} is no program that can be run: make build makes bin/itrstream")
    found = []
    with torch.no_grad():
        if config.source:
            found.append(_compare(config, checkpoint.load(config.source), config.tokenizers))
        else:
            for name, variant in VARIANTS.items():
                found.append(_compare(config, random_checkpoint(variant, SEED), config.tokenizers / name))
    return found


def _compare(config: ParityConfig, found: Checkpoint, tokenizer: Path) -> Parity:
    print(f"{found.variant.name}: exporting, then {POSTS} posts twice", file=sys.stderr)
    work = config.out / found.variant.name
    shutil.rmtree(work, ignore_errors=True)
    (work / "checkpoint").mkdir(parents=True)
    steps = {"export": time.monotonic()}
    checkpoint.write(found, work / "checkpoint")
    export(ExportConfig(work / "checkpoint", tokenizer, out=work / "bundle", name=found.variant.name))
    steps["PyTorch"] = time.monotonic()
    words = Words(tokenizer, found.variant.text)
    largest = reference(found, words, specimens.posts(POSTS, SEED), work / "reference")
    steps["Go"] = time.monotonic()
    replay = _verify(config.itrstream, work / "bundle", work / "reference")
    ends = [*steps.values(), time.monotonic()]
    seconds = {step: round(end - start, 1) for step, (start, end) in zip(steps, pairwise(ends), strict=True)}
    parity = Parity(found.variant.name, replay, largest, seconds)
    if not parity.missed:
        shutil.rmtree(work)
    return parity


def _verify(itrstream: Path, bundle: Path, reference: Path) -> dict[str, Any]:
    command = [itrstream, "model", "verify", bundle, "--golden", reference, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise RuntimeError(f"{itrstream} could not replay {reference}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def reference(found: Checkpoint, words: Words, posts: Iterable[Post], out: Path) -> dict[str, float]:
    """Writes posts, with what the model makes of them, as golden posts into a new folder; returns the largest absolute
    value of each output.
    """
    (out / "golden").mkdir(parents=True)
    model = found.build(attention="eager").requires_grad_(False)
    process = processor(found.variant.image)
    entries, largest = [], dict.fromkeys(OUTPUTS, 0.0)
    for post in posts:
        path = f"golden/{post.name}"
        (out / path).write_bytes(post.encoded)
        with Image.open(out / path) as opened:
            picture = opened.convert("RGB")
        levels = process(picture, do_rescale=False, do_normalize=False)["pixel_values"][0]
        pixels = np.ascontiguousarray(np.moveaxis(np.asarray(levels, np.uint8), 0, -1))
        tokens = words([post.text], torch.device("cpu"))
        outputs = _outputs(model, tokens, process(picture, return_tensors="pt")["pixel_values"])
        entry = golden.post(post.text, path, tokens[0][0].tolist(), pixels, outputs)
        entry["pixels"] = f"golden/{post.name}.pixels.png"
        Image.fromarray(pixels).save(out / entry["pixels"])
        entries.append(entry | golden.whole(outputs))
        for name in OUTPUTS:
            largest[name] = max(largest[name], float(np.abs(getattr(outputs, name)).max()))
    golden.write(out, entries)
    return largest


def _outputs(model: TwoTowerModel, tokens: tuple[Tensor, Tensor], picture: Tensor) -> Outputs:
    text = model.text(*tokens)
    image, related, cam = explained(model, text, picture)
    embedding = functional.normalize(related.joint, dim=-1)
    vectors = (value[0].numpy() for value in (text, image, related.logits))
    return Outputs(*vectors, float(related.similarity[0]), embedding[0].numpy(), cam.numpy())


def explained(model: TwoTowerModel, text: Tensor, picture: Tensor) -> tuple[Tensor, Any, Tensor]:
    """Image vector, what the head makes of it, and [classes,h,w] Grad-CAM of one pair as the public code has it before
    smoothing and scaling: autograd to the activations, mean gradient of each channel, weighted sum, ReLU.
    """
    seen: list[Tensor] = []

    def leaf(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        seen.append(output.detach().requires_grad_())
        return seen[0]

    hook = _explained_layer(model).register_forward_hook(leaf)
    try:
        with torch.enable_grad():
            image = model.image(picture)
            related = model.relate(text, image)
            gradients = [
                torch.autograd.grad(logit, seen[0], retain_graph=True)[0] for logit in related.logits[0].unbind()
            ]
    finally:
        hook.remove()
    activations, gradient = seen[0].detach()[0], torch.stack(gradients)[:, 0]
    if activations.dim() == 2:  # [1+P, D]: the patches as a picture of channels
        side = round((len(activations) - 1) ** 0.5)
        activations, gradient = (
            x[..., 1:, :].transpose(-1, -2).unflatten(-1, (side, side)) for x in (activations, gradient)
        )
    cam = (gradient.mean((-2, -1), keepdim=True) * activations).sum(1).relu()
    return image.detach(), type(related)(*(part.detach() for part in related)), cam


def _explained_layer(model: TwoTowerModel) -> nn.Module:
    encoder, kind = model.encoder_v, model.variant.image.kind
    if kind == "resnet":
        return encoder.encoder.stages[-1]
    return encoder.layers[-1].layernorm_before if kind == "vit" else encoder.encoder.layers[-1].layer_norm1


def processor(tower: ImageTower) -> Any:
    """Hugging Face's processor of RGB pictures, with the settings of the tower's published configuration."""
    side, edge = tower.side, tower.preprocessing.shortest_edge
    square = {"height": side, "width": side}
    if tower.kind == "vit":
        half = [0.5] * 3
        return ViTImageProcessorPil(size=square, resample=Image.Resampling.BILINEAR, image_mean=half, image_std=half)
    if tower.kind == "clip_vision":
        # transformers 5 would lay what was transparent in an RGB picture's file on white; 4.24 did not.
        return CLIPImageProcessorPil(size={"shortest_edge": edge}, crop_size=square, do_convert_rgb=False)
    return ConvNextImageProcessorPil(
        size={"shortest_edge": side},
        crop_pct=side / edge,
        image_mean=IMAGENET_DEFAULT_MEAN,
        image_std=IMAGENET_DEFAULT_STD,
    )


def random_checkpoint(variant: TwoTower, seed: int) -> Checkpoint:
    """Random weights, wide enough that no layer is near to linear or to nothing."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):  # Hugging Face draws weights of its own first
        model = variant.build("eager").requires_grad_(False)
    for parameter in model.parameters():
        parameter.normal_(0, 0.4, generator=generator)  # embeddings, class tokens
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.weight.normal_(0, 1.5 / module.weight[0].numel() ** 0.5, generator=generator)
        elif isinstance(module, nn.LayerNorm | nn.BatchNorm2d):
            module.weight.normal_(1, 0.2, generator=generator)
        if getattr(module, "bias", None) is not None:
            module.bias.normal_(0, 0.2, generator=generator)
    _settle(model)
    return Checkpoint(variant, model.state_dict(), source=f"random weights of seed {seed}")


def _settle(model: TwoTowerModel) -> None:
    """Batch norms that have seen what comes: with other means, a hundred layers would end in huge numbers."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    for norm in norms:
        norm.momentum = None  # the plain mean of all batches
    for module in model.modules():
        if isinstance(module, ResNetBottleNeckLayer):
            # A trained block changes little of what passes through it. Random ones that changed all would blow up
            # whatever is unlike the pictures seen here.
            module.layer[-1].normalization.weight.data.mul_(0.1)
    process = processor(model.variant.image)
    pictures = [Image.open(io.BytesIO(post.encoded)).convert("RGB") for post in specimens.posts(48, SEED + 1)]
    model.train()
    model.image(process(pictures, return_tensors="pt")["pixel_values"])
    model.eval()


def table(found: list[Parity]) -> str:
    """One line a variant; differences are absolute, beside the largest value of the reference."""
    rows = [("variant", "posts", "token ids", "pixels equal", "max", "mean", *OUTPUTS, "seconds", "verdict")]
    for parity in found:
        replay, errors = parity.replay, parity.replay["pixel_errors"]
        worst = replay["largest_absolute_differences"]
        rows.append(
            (
                parity.variant,
                str(replay["posts"]),
                f"{replay['equal_token_ids']}/{replay['posts']}",
                f"{replay['equal_pixels']}/{replay['posts']}",
                str(errors["max"]),
                f"{errors['mean']:.2g}",
                *(f"{worst[name]:.1e} of {parity.largest[name]:.2g}" for name in OUTPUTS),
                f"{sum(parity.seconds.values()):.0f}",
                "MISSED: " + ", ".join(parity.missed) if parity.missed else "met",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)
