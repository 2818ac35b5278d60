"""Attention whose keys and values can be projected once and used at every denoising step."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class KeyValue(NamedTuple):
    """Projected keys and values, each [B, heads, N, d]."""

    keys: Tensor
    values: Tensor


def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Scaled dot-product attention over [B, heads, N, d]."""
    if torch.is_grad_enabled() and queries.device.type == "cpu":
        # The fused kernel's backward is about half as fast on a CPU as these two products.
        weights = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-1, -2)
        return weights.softmax(-1).to(values.dtype) @ values
    return F.scaled_dot_product_attention(queries, keys, values)


class Attention(nn.Module):
    """Multi-head attention with the parameter names of diffusers' `Attention`.

    Queries, keys and values have no bias, the output has one (SD 1.5).
    """

    def __init__(self, width: int, heads: int, context_width: int | None = None, zero_output: bool = False):
        super().__init__()
        context_width = width if context_width is None else context_width
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context_width, width, bias=False)
        self.to_v = nn.Linear(context_width, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])
        if zero_output:
            zero_parameters(self.to_out[0])

    def project(self, context: Tensor, positions: Tensor | None = None) -> KeyValue:
        """Context [B, N, C] -> keys and values; `positions` [N, C] are added for the keys only."""
        keyed = context if positions is None else context + positions
        return KeyValue(self._split(self.to_k(keyed)), self._split(self.to_v(context)))

    def forward(self, hidden: Tensor, context: KeyValue | None, positions: Tensor | None = None) -> Tensor:
        """Hidden [B, N, C] attends to the context; `positions` [N, C] are added for the queries only.

        The context may have fewer rows than hidden: each of its rows then serves B / rows successive rows
        of hidden (the frames of a clip, the places of a frame), without being copied for each.
        A context of None is one whose values are zero: what remains of it is the bias of the output.
        """
        output: nn.Linear = self.to_out[0]  # type: ignore[assignment]
        if context is None:
            return output(hidden.new_zeros(1, 1, hidden.shape[-1])).expand_as(hidden)
        rows, count, width = hidden.shape
        shared = rows // len(context.keys)
        queries = self.to_q(hidden if positions is None else hidden + positions)
        queries = self._split(queries.reshape(rows // shared, shared * count, width))
        attended = attend(queries, context.keys, context.values)
        return output(attended.transpose(1, 2).reshape(rows, count, width))

    def _split(self, projected: Tensor) -> Tensor:
        return projected.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [B, heads, N, d]


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
