"""MiniLM-L6 as one plain module, with two poolings and lexical features in front of the head.

The text vector is [sentence | things | lexical]:
  sentence  384  mean of the last hidden states, L2-normalised: the published sentence embedding
  things    384  mean of the last hidden states weighted by how concrete each word piece is, L2-normalised: what a picture could show of a
                 long post about much else; falls back to the plain mean when nothing concrete is named
  lexical   len(lexicon.FEATURES)  rates and counts of word kinds, see lexicon
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

WIDTH, LAYERS, HEADS, INNER = 384, 6, 12, 1536


class Layer(nn.Module):
    """One post-norm transformer block of BERT."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.output = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.up, self.down = nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)
        self.attention_norm, self.output_norm = nn.LayerNorm(WIDTH, eps=1e-12), nn.LayerNorm(WIDTH, eps=1e-12)

    def forward(self, hidden: Tensor, bias: Tensor) -> Tensor:
        def split(x: Tensor) -> Tensor:
            return x.unflatten(-1, (HEADS, WIDTH // HEADS)).transpose(1, 2)

        scores = split(self.query(hidden)) @ split(self.key(hidden)).transpose(-1, -2) * (WIDTH // HEADS) ** -0.5 + bias
        mixed = (scores.softmax(-1) @ split(self.value(hidden))).transpose(1, 2).flatten(2)
        hidden = self.attention_norm(hidden + self.output(mixed))
        return self.output_norm(hidden + self.down(F.gelu(self.up(hidden))))


class TextTower(nn.Module):
    """input_ids, attention_mask [B,T] → text [B, 768 + lexical]."""

    def __init__(self, concreteness: Tensor, lexical: Tensor, max_tokens: int) -> None:
        """concreteness: [V] weights ≥ 0. lexical: [V,F] per-piece contributions, see lexicon.table."""
        super().__init__()
        vocabulary = lexical.shape[0]
        # The embedding is half of the bundle: int8 rows with one scale each cost a quarter and a relative error below 1 %.
        self.register_buffer("words", torch.zeros(vocabulary, WIDTH, dtype=torch.int8))
        self.register_buffer("word_scales", torch.ones(vocabulary, 1))
        self.register_buffer("concreteness", concreteness.float())
        self.register_buffer("lexical", lexical.to(torch.int8))
        self.positions = nn.Parameter(torch.zeros(max_tokens, WIDTH))
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))

    def hidden(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Last hidden states [B,T,384]."""
        embedded = self.words[input_ids].float() * self.word_scales[input_ids] + self.positions[: input_ids.shape[1]]
        hidden = self.norm(embedded)
        bias = (1.0 - attention_mask.float())[:, None, None, :] * -1e4
        for layer in self.layers:
            hidden = layer(hidden, bias)
        return hidden

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden = self.hidden(input_ids, attention_mask)
        mask = attention_mask.float()
        sentence = F.normalize(pool(hidden, mask), dim=-1)
        # The small constant is the fall-back: without one concrete piece the weights are equal.
        things = F.normalize(pool(hidden, mask * (self.concreteness[input_ids] + 1e-3)), dim=-1)
        counts = (self.lexical[input_ids].float() * mask[..., None]).sum(1)
        pieces = (mask.sum(1, keepdim=True) - 2.0).clamp(min=1.0)  # without [CLS] and [SEP]
        rates = counts / pieces.sqrt()  # between a count and a share: neither grows with length alone nor drowns in it
        return torch.cat([sentence, things, rates, pieces.log()], -1)


def pool(hidden: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean over tokens: [B,T,W], [B,T] → [B,W]."""
    return (hidden * weights[..., None]).sum(1) / weights.sum(1, keepdim=True).clamp(min=1e-6)


def load(weights: Path, concreteness: Tensor, lexical: Tensor, max_tokens: int) -> TextTower:
    """Builds the tower from the published safetensors file; KeyError names a missing tensor."""
    state = load_file(weights)
    tower = TextTower(concreteness, lexical, max_tokens)
    # Segment ids are always 0 for one sentence, so their row is a constant of every word.
    words = state["embeddings.word_embeddings.weight"] + state["embeddings.token_type_embeddings.weight"][0]
    tower.word_scales.copy_(words.abs().amax(1, keepdim=True).clamp(min=1e-8) / 127.0)
    tower.words.copy_((words / tower.word_scales).round().to(torch.int8))
    tower.positions.data.copy_(state["embeddings.position_embeddings.weight"][:max_tokens])
    _copy(tower.norm, state, "embeddings.LayerNorm")
    for i, layer in enumerate(tower.layers):
        at = f"encoder.layer.{i}."
        for name in ("query", "key", "value"):
            _copy(getattr(layer, name), state, f"{at}attention.self.{name}")
        _copy(layer.output, state, f"{at}attention.output.dense")
        _copy(layer.attention_norm, state, f"{at}attention.output.LayerNorm")
        _copy(layer.up, state, f"{at}intermediate.dense")
        _copy(layer.down, state, f"{at}output.dense")
        _copy(layer.output_norm, state, f"{at}output.LayerNorm")
    return tower.eval()


def _copy(module: nn.Module, state: dict[str, Tensor], name: str) -> None:
    module.weight.data.copy_(state[f"{name}.weight"])
    module.bias.data.copy_(state[f"{name}.bias"])
