"""What training starts from: a checkpoint, or base encoders as Hugging Face keeps them in a folder, with new heads."""

from pathlib import Path

import transformers
from torch import Tensor, nn

from itr import checkpoint
from itr.checkpoint import Checkpoint

PROJECTION = 512


def two_towers(text: Path, image: Path, k: int) -> Checkpoint:
    """BERT, RoBERTa or BERTweet beside ViT or ResNet, each a folder with config.json and weights. The heads are new."""
    state = _prefixed("encoder_t", _encoder(text)) | _prefixed("encoder_v", _encoder(image))
    ht = state["encoder_t.embeddings.word_embeddings.weight"].shape[1]
    hv = _image_width(state)
    return _with_heads(state, ht, hv, k, f"{text.name}+{image.name}", {})


def clip(folder: Path, k: int) -> Checkpoint:
    """CLIP, whose own projections are proj_t and proj_v. The heads are new."""
    model = _encoder(folder)
    if not isinstance(model, transformers.CLIPModel):
        raise ValueError(f"{folder} holds a {type(model).__name__}, not CLIP")
    state = _prefixed("encoder_t", model.text_model) | _prefixed("encoder_v", model.vision_model)
    projections = {"proj_t": model.text_projection, "proj_v": model.visual_projection}
    ht, hv = (projection.in_features for projection in projections.values())
    return _with_heads(state, ht, hv, k, folder.name, projections)


def _with_heads(
    state: dict[str, Tensor], ht: int, hv: int, k: int, source: str, projections: dict[str, nn.Module]
) -> Checkpoint:
    # In the order of the paper's class: the order of random numbers.
    for number in (1, 2, 3):
        state |= _prefixed(f"head{number}", nn.Linear(ht + hv, k))
    for name, width in (("proj_t", ht), ("proj_v", hv)):
        state |= _prefixed(name, projections.get(name) or nn.Linear(width, PROJECTION, bias=False))
    state |= _prefixed("classifier", nn.Linear(ht + hv, k))
    return checkpoint.place(state, source=source)


def _encoder(folder: Path) -> nn.Module:
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder} is no model folder: it has no config.json")
    try:
        return transformers.AutoModel.from_pretrained(str(folder), local_files_only=True)
    except (OSError, KeyError, RuntimeError) as error:
        raise ValueError(f"{folder} cannot be read as a model: {error}") from error


def _prefixed(name: str, module: nn.Module) -> dict[str, Tensor]:
    return {f"{name}.{key}": value.detach() for key, value in module.state_dict().items()}


def _image_width(state: dict[str, Tensor]) -> int:
    pooler = state.get("encoder_v.pooler.dense.weight")
    if pooler is not None:
        return pooler.shape[0]
    last = [value for key, value in state.items() if key.endswith(".convolution.weight")]
    if not last:
        raise ValueError("the image encoder is neither a ViT with a pooler nor a ResNet")
    return last[-1].shape[0]
