"""The published models once more, as functions of their state dict: no module, no Hugging Face, present names nowhere.

Written from the papers' equations, so that a mistake in renaming, configuration or pooling cannot hide in both.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

State = Mapping[str, Tensor]
HEAD = 64


def relate(state: State, text: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
    """logits, similarity of the two-tower family."""
    joint = torch.cat([text, image], -1)
    return linear(state, "classifier", joint), similarity(state, text, image)


def similarity(state: State, text: Tensor, image: Tensor) -> Tensor:
    t, v = text @ state["proj_t.weight"].T, image @ state["proj_v.weight"].T
    return (t * v).sum(-1) / (t.norm(dim=-1) * v.norm(dim=-1))


def bert(state: State, ids: Tensor, mask: Tensor) -> Tensor:
    places = torch.arange(ids.shape[1]).expand_as(ids)
    hidden = bert_layers(
        state, "encoder_t.encoder", bert_embeddings(state, "encoder_t.", ids, places, 1e-12), mask, 1e-12
    )
    return linear(state, "encoder_t.pooler.dense", hidden[:, 0]).tanh()


def roberta(state: State, ids: Tensor, mask: Tensor) -> Tensor:
    real = (ids != 1).long()
    places = real.cumsum(1) * real + 1
    hidden = bert_layers(
        state, "encoder_t.encoder", bert_embeddings(state, "encoder_t.", ids, places, 1e-5), mask, 1e-5
    )
    return linear(state, "encoder_t.pooler.dense", hidden[:, 0]).tanh()


def vit(state: State, picture: Tensor) -> Tensor:
    at = "encoder_v."
    weight, bias = (state[f"{at}embeddings.patch_embeddings.projection.{part}"] for part in ("weight", "bias"))
    patches = F.conv2d(picture, weight, bias, stride=weight.shape[-1]).flatten(2).transpose(1, 2)
    first = state[f"{at}embeddings.cls_token"].expand(len(picture), -1, -1)
    h = torch.cat([first, patches], 1) + state[f"{at}embeddings.position_embeddings"]
    for i in range(layers(state, f"{at}encoder.layer")):
        layer = f"{at}encoder.layer.{i}"
        a = norm(state, f"{layer}.layernorm_before", h, 1e-12)
        names = [f"{layer}.attention.attention.{part}" for part in ("query", "key", "value")]
        h = h + linear(state, f"{layer}.attention.output.dense", attention(state, names, a, a))
        a = norm(state, f"{layer}.layernorm_after", h, 1e-12)
        h = h + linear(state, f"{layer}.output.dense", F.gelu(linear(state, f"{layer}.intermediate.dense", a)))
    return linear(state, f"{at}pooler.dense", norm(state, f"{at}layernorm", h, 1e-12)[:, 0]).tanh()


def resnet(state: State, picture: Tensor) -> Tensor:
    at = "encoder_v."

    def convolve(name: str, x: Tensor, stride: int) -> Tensor:
        weight = state[f"{name}.convolution.weight"]
        x = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
        mean, var, scale, shift = (
            state[f"{name}.normalization.{part}"].view(-1, 1, 1)
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-5).sqrt() * scale + shift

    h = F.max_pool2d(convolve(f"{at}embedder.embedder", picture, 2).relu(), 3, 2, 1)
    for stage in range(layers(state, f"{at}encoder.stages")):
        for i in range(layers(state, f"{at}encoder.stages.{stage}.layers")):
            block = f"{at}encoder.stages.{stage}.layers.{i}"
            stride = 2 if stage and not i else 1
            x = convolve(f"{block}.layer.0", h, 1).relu()
            x = convolve(f"{block}.layer.1", x, stride).relu()
            x = convolve(f"{block}.layer.2", x, 1)
            h = (x + (convolve(f"{block}.shortcut", h, stride) if not i else h)).relu()
    return h.mean((2, 3))


def clip_text(state: State, ids: Tensor, mask: Tensor) -> Tensor:
    at = "encoder_t."
    h = state[f"{at}embeddings.token_embedding.weight"][ids]
    h = h + state[f"{at}embeddings.position_embedding.weight"][: ids.shape[1]]
    seen = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).tril() & mask.bool()[:, None, None]
    h = norm(state, f"{at}final_layer_norm", clip_layers(state, at, h, seen), 1e-5)
    return h[torch.arange(len(ids)), ids.argmax(-1)]


def clip_image(state: State, picture: Tensor) -> Tensor:
    at = "encoder_v."
    weight = state[f"{at}embeddings.patch_embedding.weight"]
    patches = F.conv2d(picture, weight, stride=weight.shape[-1]).flatten(2).transpose(1, 2)
    first = state[f"{at}embeddings.class_embedding"].expand(len(picture), 1, -1)
    h = torch.cat([first, patches], 1) + state[f"{at}embeddings.position_embedding.weight"]
    h = clip_layers(state, at, norm(state, f"{at}pre_layrnorm", h, 1e-5), None)
    return norm(state, f"{at}post_layernorm", h[:, 0], 1e-5)


def visual_bert(state: State, ids: Tensor, mask: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
    """logits, similarity."""
    at = "encoder.embeddings"
    places = torch.arange(ids.shape[1]).expand_as(ids)
    words = _summed(state, at, ids, places)
    regions = linear(state, f"{at}.visual_projection", features)
    regions = regions + state[f"{at}.visual_position_embeddings.weight"][0]
    regions = regions + state[f"{at}.visual_token_type_embeddings.weight"][1]
    h = norm(state, f"{at}.LayerNorm", torch.cat([words, regions], 1), 1e-12)
    h = bert_layers(state, "encoder.encoder", h, torch.cat([mask, mask.new_ones(features.shape[:2])], 1), 1e-12)
    joint = linear(state, "encoder.pooler.dense", h[:, 0]).tanh()
    text, image = mean(h[:, : ids.shape[1]], mask), h[:, ids.shape[1] :].mean(1)
    return linear(state, "classifier", joint), similarity(state, text, image)


def lxmert(state: State, ids: Tensor, mask: Tensor, features: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """logits, similarity."""
    at = "encoder.encoder"
    places = torch.arange(ids.shape[1]).expand_as(ids)
    t = bert_layers(state, at, bert_embeddings(state, "encoder.", ids, places, 1e-12), mask, 1e-12)
    x = norm(state, f"{at}.visn_fc.visn_layer_norm", linear(state, f"{at}.visn_fc.visn_fc", features), 1e-12)
    y = norm(state, f"{at}.visn_fc.box_layer_norm", linear(state, f"{at}.visn_fc.box_fc", boxes), 1e-12)
    v = (x + y) / 2
    for i in range(layers(state, f"{at}.r_layers")):
        v = _bert_layer(state, f"{at}.r_layers.{i}", v, None, 1e-12)
    words = mask.bool()[:, None, None]
    for i in range(layers(state, f"{at}.x_layers")):
        layer = f"{at}.x_layers.{i}"

        def attend(name: str, inner: str, query: Tensor, context: Tensor, seen: Tensor | None) -> Tensor:
            names = [f"{name}.{inner}.{part}" for part in ("query", "key", "value")]
            out = linear(state, f"{name}.output.dense", attention(state, names, query, context, seen))
            return norm(state, f"{name}.output.LayerNorm", out + query, 1e-12)

        cross = f"{layer}.visual_attention"
        t, v = attend(cross, "att", t, v, None), attend(cross, "att", v, t, words)
        t = attend(f"{layer}.lang_self_att", "self", t, t, words)
        v = attend(f"{layer}.visn_self_att", "self", v, v, None)
        t = _feed(state, f"{layer}.lang_inter", f"{layer}.lang_output", t, 1e-12)
        v = _feed(state, f"{layer}.visn_inter", f"{layer}.visn_output", v, 1e-12)
    joint = linear(state, "encoder.pooler.dense", t[:, 0]).tanh()
    return linear(state, "classifier", joint), similarity(state, mean(t, mask), v.mean(1))


def bert_embeddings(state: State, at: str, ids: Tensor, places: Tensor, epsilon: float) -> Tensor:
    return norm(state, f"{at}embeddings.LayerNorm", _summed(state, f"{at}embeddings", ids, places), epsilon)


def bert_layers(state: State, at: str, hidden: Tensor, mask: Tensor, epsilon: float) -> Tensor:
    for i in range(layers(state, f"{at}.layer")):
        hidden = _bert_layer(state, f"{at}.layer.{i}", hidden, mask.bool()[:, None, None], epsilon)
    return hidden


def clip_layers(state: State, at: str, h: Tensor, seen: Tensor | None) -> Tensor:
    for i in range(layers(state, f"{at}encoder.layers")):
        layer = f"{at}encoder.layers.{i}"
        a = norm(state, f"{layer}.layer_norm1", h, 1e-5)
        names = [f"{layer}.self_attn.{part}_proj" for part in "qkv"]
        h = h + linear(state, f"{layer}.self_attn.out_proj", attention(state, names, a, a, seen))
        inner = linear(state, f"{layer}.mlp.fc1", norm(state, f"{layer}.layer_norm2", h, 1e-5))
        h = h + linear(state, f"{layer}.mlp.fc2", inner * (1.702 * inner).sigmoid())
    return h


def attention(state: State, names: list[str], query: Tensor, context: Tensor, seen: Tensor | None = None) -> Tensor:
    def heads(x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, HEAD)).transpose(1, 2)

    q, k, v = heads(linear(state, names[0], query)), *(heads(linear(state, name, context)) for name in names[1:])
    scores = q @ k.transpose(-1, -2) / HEAD**0.5
    if seen is not None:
        scores = scores.masked_fill(~seen, float("-inf"))
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)


def linear(state: State, name: str, x: Tensor) -> Tensor:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def norm(state: State, name: str, x: Tensor, epsilon: float) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + epsilon).sqrt()
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def mean(states: Tensor, mask: Tensor) -> Tensor:
    return (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


def layers(state: State, at: str) -> int:
    return 1 + max(int(key[len(at) + 1 :].split(".")[0]) for key in state if key.startswith(f"{at}."))


def _summed(state: State, at: str, ids: Tensor, places: Tensor) -> Tensor:
    words, positions, types = (state[f"{at}.{n}_embeddings.weight"] for n in ("word", "position", "token_type"))
    return words[ids] + positions[places] + types[0]


def _bert_layer(state: State, layer: str, h: Tensor, seen: Tensor | None, epsilon: float) -> Tensor:
    names = [f"{layer}.attention.self.{part}" for part in ("query", "key", "value")]
    out = linear(state, f"{layer}.attention.output.dense", attention(state, names, h, h, seen))
    h = norm(state, f"{layer}.attention.output.LayerNorm", out + h, epsilon)
    return _feed(state, f"{layer}.intermediate", f"{layer}.output", h, epsilon)


def _feed(state: State, inner: str, outer: str, h: Tensor, epsilon: float) -> Tensor:
    out = linear(state, f"{outer}.dense", F.gelu(linear(state, f"{inner}.dense", h)))
    return norm(state, f"{outer}.LayerNorm", out + h, epsilon)
