"""Attention whose keys and values can be projected once and used at every denoising step."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class KeyValue(NamedTuple):
    """Projected keys and values, each [B, heads, N, d], and what is added to the logits [heads, Q, N]."""

    keys: Tensor
    values: Tensor
    bias: Tensor | None = None

    def joined(self, other: "KeyValue", in_turn: bool) -> "KeyValue":
        """These B rows with the tokens of another's R rows behind each.

        With `in_turn` row b takes row (B + b) % R of the other; without it each of them serves B / R
        successive rows.
        """
        rows, other_rows = len(self.keys), len(other.keys)
        place = torch.arange(rows, device=self.keys.device)
        chosen = (rows + place) % other_rows if in_turn else place // (rows // other_rows)
        pairs = ((self.keys, other.keys), (self.values, other.values))
        return KeyValue(*(torch.cat([own, others[chosen]], dim=2) for own, others in pairs))


def attend(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention over [B, heads, N, d]; `bias` [heads, Q, N] is added to the logits.

    Queries may be several times Q, each Q of them with the same bias.
    """
    if bias is not None:
        bias = bias.repeat(1, queries.shape[2] // bias.shape[1], 1).to(queries.dtype)
    if torch.is_grad_enabled() and queries.device.type == "cpu":
        # The fused kernel's backward is about half as fast on a CPU as these two products.
        logits = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-1, -2)
        weights = logits if bias is None else logits + bias
        return weights.softmax(-1).to(values.dtype) @ values
    return F.scaled_dot_product_attention(queries, keys, values, None if bias is None else bias[None])


# How far the first and the last head of a local attention see at the start of training, in places of 16.
_FIRST_REACHES = (1.2, 3.0)


class Attention(nn.Module):
    """Multi-head attention with the parameter names of diffusers' `Attention`.

    Queries, keys and values have no bias, the output has one (SD 1.5). With `local`, each head prefers places
    near its own by a learned amount: the logit falls by exp(locality) / 2 times the squared distance.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        context_width: int | None = None,
        zero_output: bool = False,
        local: bool = False,
    ):
        super().__init__()
        context_width = width if context_width is None else context_width
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context_width, width, bias=False)
        self.to_v = nn.Linear(context_width, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])
        if zero_output:
            zero_parameters(self.to_out[0])
        self.locality = None
        if local:
            low, high = (-2 * math.log(reach) for reach in _FIRST_REACHES)
            self.locality = nn.Parameter(torch.linspace(low, high, heads))

    def project(
        self, context: Tensor, positions: Tensor | None = None, squared_distances: Tensor | None = None
    ) -> KeyValue:
        """Context [B, N, C] -> keys and values; `positions` [N, C] are added for the keys only.

        squared_distances: from every place that asks to every place of the context [Q, N], for local heads.
        """
        keyed = context if positions is None else context + positions
        bias = None
        if self.locality is not None and squared_distances is not None:
            precision = self.locality.to(squared_distances).exp()
            bias = -0.5 * precision[:, None, None] * squared_distances
        return KeyValue(self._split(self.to_k(keyed)), self._split(self.to_v(context)), bias)

    def forward(self, hidden: Tensor, context: KeyValue | None, positions: Tensor | None = None) -> Tensor:
        """Hidden [B, N, C] attends to the context; `positions` [N, C] are added for the queries only.

        The context may have fewer rows than hidden: each of its rows then serves B / rows successive rows
        of hidden (the frames of a clip, the places of a frame), without being copied for each.
        A context of None is one whose values are zero: what remains of it is the bias of the output.
        """
        if context is None:
            return self.output(hidden.new_zeros(1, 1, hidden.shape[-1])).expand_as(hidden)
        return self.output(self.attended(hidden, context, positions))

    def attended(self, hidden: Tensor, context: KeyValue, positions: Tensor | None = None) -> Tensor:
        """As `forward`, before the output layer."""
        rows, count, width = hidden.shape
        shared = rows // len(context.keys)
        queries = self.to_q(hidden if positions is None else hidden + positions)
        queries = self._split(queries.reshape(rows // shared, shared * count, width))
        attended = attend(queries, *context)
        return attended.transpose(1, 2).reshape(rows, count, width)

    @property
    def output(self) -> nn.Linear:
        """The output layer."""
        return self.to_out[0]  # type: ignore[return-value]

    def _split(self, projected: Tensor) -> Tensor:
        return projected.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [B, heads, N, d]


class CrossAttention(nn.Module):
    """Attention of a map's places [B, N, C] to tokens of another kind, scaled and added to its input."""

    def __init__(self, width: int, heads: int, token_width: int, scale: float = 1.0):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attn = Attention(width, heads, context_width=token_width, zero_output=True)
        self.scale = scale

    def project(self, tokens: Tensor) -> KeyValue:
        """Tokens [B, T, W] -> keys and values."""
        return self.attn.project(tokens)

    def forward(self, hidden: Tensor, tokens: KeyValue | None) -> Tensor:
        """tokens: from `project`; None stands for tokens of zeros."""
        return torch.add(hidden, self.attn(self.norm(hidden), tokens), alpha=self.scale)


class GatedLinear(nn.Module):
    """GEGLU: half of a linear layer's output, gated by the GELU of the other half. [.., C] -> [.., D]."""

    def __init__(self, width: int, inner_width: int):
        super().__init__()
        self.proj = nn.Linear(width, 2 * inner_width)

    def forward(self, hidden: Tensor) -> Tensor:
        value, gate = self.proj(hidden).chunk(2, dim=-1)
        return value * F.gelu(gate)


class FeedForward(nn.Module):
    """GEGLU feed-forward with the parameter names of diffusers' `FeedForward`. [.., C] -> [.., C]."""

    def __init__(self, width: int, multiplier: int):
        super().__init__()
        inner = multiplier * width
        # The identity stands where diffusers has a dropout, so that the names fit.
        self.net = nn.Sequential(GatedLinear(width, inner), nn.Identity(), nn.Linear(inner, width))

    def forward(self, hidden: Tensor) -> Tensor:
        return self.net(hidden)


def zero_parameters(module: nn.Module) -> None:
    """Set every parameter to zero, so that a residual branch starts without effect."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)


def sinusoid(positions: Tensor, width: int) -> Tensor:
    """Sines and cosines of positions [N] at geometric frequencies -> [N, width] (width even)."""
    half = width // 2
    frequencies = torch.exp(-torch.arange(half, device=positions.device) * (9.210340371976184 / half))
    angles = positions.float()[:, None] * frequencies  # ln 10000 = 9.2103
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
