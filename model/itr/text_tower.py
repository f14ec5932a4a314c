"""MiniLM-L6 as one plain module, with what the head reads beside its sentence embedding.

The text vector is [sentence | style | lexical]:
  sentence  384  mean of the last hidden states, L2-normalised: the published sentence embedding, what a text is about
  style     384  mean of the hidden states behind layer STYLE_LAYER: how it speaks, which the last layers forget
  lexical   len(lexicon.FEATURES)  rates and counts of word kinds, see lexicon
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from itr.lexicon import BITS

WIDTH, LAYERS, HEADS, INNER = 384, 6, 12, 1536
STYLE_LAYER = 4
# The word embeddings are a third of the tower's bytes. BERT's vocabulary is sorted by frequency, so the first rows,
# which most word pieces of a post hit, keep 8 bits, and the others get 4 with a scale for each 48 values. Measured on
# 243 posts: cosine .998 to fp32 at the sentence; 8192 rows of 8 bits gave .999 for 1.2 MB more.
FREQUENT, GROUP = 1024, 48
SENTENCE, STYLE, LEXICAL = slice(0, WIDTH), slice(WIDTH, 2 * WIDTH), slice(2 * WIDTH, None)


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
    """input_ids, attention_mask [B,T] → text [B, 2·384 + lexical]."""

    def __init__(self, lexical: Tensor, max_tokens: int) -> None:
        """lexical: int32 [V], see lexicon.table."""
        super().__init__()
        rare = lexical.shape[0] - FREQUENT
        self.register_buffer("frequent", torch.zeros(FREQUENT, WIDTH, dtype=torch.int8))
        self.register_buffer("frequent_scales", torch.ones(FREQUENT, 1))
        self.register_buffer("rare", torch.zeros(rare, WIDTH // 2, dtype=torch.uint8))
        self.register_buffer("rare_scales", torch.ones(rare, WIDTH // GROUP, dtype=torch.float16))
        self.register_buffer("lexical", lexical.to(torch.int32))
        self.register_buffer("bits", 2 ** torch.arange(len(BITS) + 1, dtype=torch.int32))
        self.register_buffer("positions", torch.zeros(max_tokens, WIDTH, dtype=torch.float16))
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))

    def embed(self, input_ids: Tensor) -> Tensor:
        """Word embeddings [B,T,384] out of their two tables."""
        at = input_ids.clamp(max=FREQUENT - 1)
        frequent = self.frequent[at].float() * self.frequent_scales[at]
        at = (input_ids - FREQUENT).clamp(min=0)
        packed = self.rare[at].float()
        high = (packed / 16.0).floor()
        values = torch.cat([packed - high * 16.0, high], -1) - 8.0
        rare = (values.unflatten(-1, (WIDTH // GROUP, GROUP)) * self.rare_scales[at].float()[..., None]).flatten(-2)
        return torch.where((input_ids < FREQUENT)[..., None], frequent, rare)

    def states(self, input_ids: Tensor, attention_mask: Tensor) -> list[Tensor]:
        """Hidden states [B,T,384] behind each layer."""
        hidden = self.norm(self.embed(input_ids) + self.positions[: input_ids.shape[1]].float())
        bias = (1.0 - attention_mask.float())[:, None, None, :] * -1e4
        found = []
        for layer in self.layers:
            hidden = layer(hidden, bias)
            found.append(hidden)
        return found

    def hidden(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Last hidden states [B,T,384]."""
        return self.states(input_ids, attention_mask)[-1]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        states, mask = self.states(input_ids, attention_mask), attention_mask.float()
        sentence, style = F.normalize(pool(states[-1], mask), dim=-1), pool(states[STYLE_LAYER - 1], mask)
        shifted = torch.div(self.lexical[input_ids][..., None], self.bits, rounding_mode="floor")
        kinds = torch.cat([shifted[..., :-1] % 2, shifted[..., -1:]], -1)
        counts = (kinds.float() * mask[..., None]).sum(1)
        pieces = (mask.sum(1, keepdim=True) - 2.0).clamp(min=1.0)  # without [CLS] and [SEP]
        rates = counts / pieces.sqrt()  # between a count and a share: neither grows with length alone nor drowns in it
        return torch.cat([sentence, style, rates, pieces.log()], -1)


def pool(hidden: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean over tokens: [B,T,W], [B,T] → [B,W]."""
    return (hidden * weights[..., None]).sum(1) / weights.sum(1, keepdim=True).clamp(min=1e-6)


def load(weights: Path, lexical: Tensor, max_tokens: int) -> TextTower:
    """Builds the tower from the published safetensors file; KeyError names a missing tensor."""
    state = load_file(weights)
    tower = TextTower(lexical, max_tokens)
    # Segment ids are always 0 for one sentence, so their row is a constant of every word.
    words = state["embeddings.word_embeddings.weight"] + state["embeddings.token_type_embeddings.weight"][0]
    frequent, rare = words[:FREQUENT], words[FREQUENT:]
    tower.frequent_scales.copy_(frequent.abs().amax(1, keepdim=True) / 127.0)
    tower.frequent.copy_((frequent / tower.frequent_scales).round().to(torch.int8))
    values, scales = _four_bits(rare)
    tower.rare.copy_(values[:, : WIDTH // 2] + values[:, WIDTH // 2 :] * 16)
    tower.rare_scales.copy_(scales)
    tower.positions.copy_(state["embeddings.position_embeddings.weight"][:max_tokens])
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


def _four_bits(rows: Tensor) -> tuple[Tensor, Tensor]:
    """uint8 [N,384] of 0…15 (zero at 8) and scales [N,8]; each group's clipping point is the one of least squared
    error.
    """
    groups = rows.unflatten(-1, (WIDTH // GROUP, GROUP))
    widest = groups.abs().amax(-1, keepdim=True) / 7.0
    best, error = widest, torch.full_like(widest, torch.inf)
    for clip in (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7):
        scale = (widest * clip).half().float()
        found = ((groups / scale).round().clamp(-8, 7) * scale - groups).square().sum(-1, keepdim=True)
        best, error = torch.where(found < error, scale, best), torch.minimum(found, error)
    return ((groups / best).round().clamp(-8, 7) + 8).to(torch.uint8).flatten(-2), best[..., 0]


def _copy(module: nn.Module, state: dict[str, Tensor], name: str) -> None:
    module.weight.data.copy_(state[f"{name}.weight"])
    module.bias.data.copy_(state[f"{name}.bias"])
