"""Grad-CAM of a class's logit in closed form, as modules without autograd, for every class at once.

The classifier reads the image through one vector alone. For a ViT that is the class token after the last block, so
what the patches of that block's input norm contribute is one attention row and can be differentiated by hand; for a
ConvNet it is the mean of the last map. Maps are in units of logits a cell, at least 0, not scaled to their maximum.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from itr.towers import HEAD_WIDTH
from itr.two_tower import TwoTowerModel


def maps(model: TwoTowerModel) -> nn.Module:
    """The module that makes normalised pictures [B,3,H,W] into maps [B,classes,h,w] ≥ 0."""
    variant = model.variant
    weights = model.classifier.weight[:, variant.text.width :].detach()
    if variant.image.kind == "resnet":
        return ConvolutionMaps(model.encoder_v, weights)
    if variant.image.kind == "clip_vision":
        encoder = model.encoder_v
        layer = encoder.encoder.layers[-1]
        last = LastBlock(
            first_norm=layer.layer_norm1,
            attention=(
                layer.self_attn.q_proj,
                layer.self_attn.k_proj,
                layer.self_attn.v_proj,
                layer.self_attn.out_proj,
            ),
            second_norm=layer.layer_norm2,
            mlp=layer.mlp,
            slope=quick_gelu_slope,
            final_norm=encoder.post_layernorm,
            pooler=None,
            weights=weights,
        )
        return TransformerMaps(
            nn.Sequential(encoder.embeddings, encoder.pre_layrnorm), encoder.encoder.layers[:-1], last
        )
    encoder = model.encoder_v
    layer = encoder.layers[-1]
    last = LastBlock(
        first_norm=layer.layernorm_before,
        attention=(layer.attention.q_proj, layer.attention.k_proj, layer.attention.v_proj, layer.attention.o_proj),
        second_norm=layer.layernorm_after,
        mlp=layer.mlp,
        slope=gelu_slope,
        final_norm=encoder.layernorm,
        pooler=encoder.pooler.dense if variant.pool_image == "pooler" else None,
        weights=weights,
    )
    return TransformerMaps(encoder.embeddings, encoder.layers[:-1], last)


class ConvolutionMaps(nn.Module):
    """Class activation of a network whose vector is the mean of its last map."""

    def __init__(self, encoder: nn.Module, weights: Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("weights", weights)  # [classes, hv]

    def halve(self) -> None:
        """Network in float16, from pictures in float16; maps stay float32."""
        self.encoder.half()

    def forward(self, pictures: Tensor) -> Tensor:
        last = self.encoder(pixel_values=pictures).last_hidden_state.to(self.weights.dtype)  # [B, hv, h, w]
        cells = last.shape[2] * last.shape[3]
        return torch.einsum("cd,bdhw->bchw", self.weights, last).relu() / cells


class TransformerMaps(nn.Module):
    """Embeds, runs all blocks but the last, and differentiates the last."""

    def __init__(self, embeddings: nn.Module, blocks: nn.ModuleList, last: "LastBlock") -> None:
        super().__init__()
        self.embeddings, self.blocks, self.last = embeddings, blocks, last

    def halve(self) -> None:
        """All blocks but the last in float16, from pictures in float16; what is differentiated stays float32."""
        self.embeddings.half()
        self.blocks.half()

    def forward(self, pictures: Tensor) -> Tensor:
        hidden = self.embeddings(pictures)
        for block in self.blocks:
            hidden = block(hidden, None)
        return self.last(hidden.to(self.last.weights.dtype))


class LastBlock(nn.Module):
    """States before the last block [B,1+P,D] → maps [B,classes,√P,√P].

    Forward for the class token only, then backward by hand: classifier, pooler, final norm, MLP, second norm, output
    projection, attention row, to the mean over patches of the gradient at the first norm's output. It weighs channels.
    """

    def __init__(
        self,
        first_norm: nn.LayerNorm,
        attention: tuple[nn.Linear, nn.Linear, nn.Linear, nn.Linear],
        second_norm: nn.LayerNorm,
        mlp: nn.Module,
        slope: Callable[[Tensor], Tensor],
        final_norm: nn.LayerNorm,
        pooler: nn.Linear | None,
        weights: Tensor,
    ) -> None:
        super().__init__()
        self.first_norm, self.second_norm, self.final_norm = first_norm, second_norm, final_norm
        self.query, self.key, self.value, self.out = attention
        self.mlp, self.slope, self.pooler = mlp, slope, pooler
        self.register_buffer("weights", weights)  # [classes, hv]

    def forward(self, hidden: Tensor) -> Tensor:
        # b rows, c classes, h heads, n tokens, d dimensions
        states = self.first_norm(hidden)
        query = _heads(self.query(states[:, 0]))  # [b,h,d]
        keys = _heads(self.key(states)).transpose(1, 2)  # [b,h,n,d]
        values = _heads(self.value(states)).transpose(1, 2)
        scale = 1 / math.sqrt(HEAD_WIDTH)
        row = (torch.einsum("bhd,bhnd->bhn", query, keys) * scale).softmax(-1)
        mixed = torch.einsum("bhn,bhnd->bhd", row, values)

        attended = hidden[:, 0] + self.out(mixed.flatten(1))
        inner = self.mlp.fc1(self.second_norm(attended))
        after = attended + self.mlp.fc2(self.mlp.activation_fn(inner))

        gradient = self._of_pooled(after)  # [b,c,·], of each class's logit
        gradient = _norm_back(self.final_norm, after, gradient)
        through_mlp = (gradient @ self.mlp.fc2.weight * self.slope(inner)[:, None]) @ self.mlp.fc1.weight
        gradient = gradient + _norm_back(self.second_norm, attended, through_mlp)
        by_mixed = _heads(gradient @ self.out.weight)  # [b,c,h,d]

        # Softmax: ∂/∂score of token n is its weight times how its value stands out of the mix.
        stand_out = (
            torch.einsum("bchd,bhnd->bchn", by_mixed, values)
            - torch.einsum("bchd,bhd->bch", by_mixed, mixed)[..., None]
        )
        by_scores = (row[:, None] * stand_out)[..., 1:].sum(-1)  # [b,c,h], over the patches
        by_keys = by_scores[..., None] * query[:, None] * scale
        by_values = row[:, None, :, 1:].sum(-1)[..., None] * by_mixed
        patches = states[:, 1:]
        weights = (by_keys.flatten(2) @ self.key.weight + by_values.flatten(2) @ self.value.weight) / patches.shape[1]
        side = math.isqrt(patches.shape[1])
        return (weights @ patches.transpose(1, 2)).relu().unflatten(-1, (side, side))

    def _of_pooled(self, after: Tensor) -> Tensor:
        """∂logits/∂(final norm's output), [b,c,D]."""
        if self.pooler is None:
            return self.weights.expand(after.shape[0], -1, -1)
        pooled = self.pooler(self.final_norm(after)).tanh()
        return (self.weights * (1 - pooled.square())[:, None]) @ self.pooler.weight


def gelu_slope(x: Tensor) -> Tensor:
    """Derivative of GELU by the error function."""
    return 0.5 * (1 + torch.erf(x / math.sqrt(2))) + x * torch.exp(-0.5 * x.square()) / math.sqrt(2 * math.pi)


def quick_gelu_slope(x: Tensor) -> Tensor:
    """Derivative of x·sigmoid(1.702 x)."""
    gate = torch.sigmoid(1.702 * x)
    return gate + 1.702 * x * gate * (1 - gate)


def _heads(x: Tensor) -> Tensor:
    return x.unflatten(-1, (-1, HEAD_WIDTH))


def _norm_back(norm: nn.LayerNorm, x: Tensor, gradient: Tensor) -> Tensor:
    """∂/∂x [B,classes,D] of a layer norm of x [B,D], from the gradient at its output."""
    centred = x - x.mean(-1, keepdim=True)
    deviation = (centred.square().mean(-1, keepdim=True) + norm.eps).sqrt()
    unit, deviation = (centred / deviation)[:, None], deviation[:, None]
    gradient = gradient * norm.weight
    shift = gradient.mean(-1, keepdim=True) + unit * (gradient * unit).mean(-1, keepdim=True)
    return (gradient - shift) / deviation
