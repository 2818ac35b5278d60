"""An audio projection by learned queries that attend to a window of voice features.

It is the perceiver resampler of Flamingo (arXiv 2204.14198) in the form that IP-Adapter made common;
parameter names are those of the public checkpoints that use it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import AudioConfig, ResamplerConfig


class ResamplerAttention(nn.Module):
    """Queries [R, Q, C] attend to features [R, N, C] and to themselves."""

    def __init__(self, width: int, config: ResamplerConfig):
        super().__init__()
        self.heads = config.heads
        inner = config.heads * config.head_width
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_kv = nn.Linear(width, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, width, bias=False)

    def forward(self, features: Tensor, queries: Tensor) -> Tensor:
        normed = self.norm2(queries)
        seen = torch.cat([self.norm1(features), normed], dim=1)
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [R, heads, N, d]
            for part in (self.to_q(normed), *self.to_kv(seen).chunk(2, dim=-1))
        )
        return self.to_out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class VoiceResampler(nn.Module):
    """Windows of voice features [B, F, rows, D] -> tokens [B, F, T, W]."""

    def __init__(self, audio: AudioConfig, config: ResamplerConfig):
        super().__init__()
        width = audio.token_width
        inner = config.feed_forward_multiplier * width
        self.pos_emb = nn.Embedding(config.rows, audio.feature_width)
        self.latents = nn.Parameter(torch.randn(1, audio.tokens, width) / width**0.5)
        self.proj_in = nn.Linear(audio.feature_width, width)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    ResamplerAttention(width, config),
                    nn.Sequential(
                        nn.LayerNorm(width),
                        nn.Linear(width, inner, bias=False),
                        nn.GELU(),
                        nn.Linear(inner, width, bias=False),
                    ),
                ]
            )
            for _ in range(config.layers)
        )
        self.proj_out = nn.Linear(width, width)
        self.norm_out = nn.LayerNorm(width)

    def forward(self, windows: Tensor) -> Tensor:
        features = self.proj_in(windows.flatten(0, 1) + self.pos_emb.weight)
        queries = self.latents.expand(len(features), -1, -1)
        for attention, feed_forward in self.layers:  # type: ignore[misc]
            queries = queries + attention(features, queries)
            queries = queries + feed_forward(queries)
        return self.norm_out(self.proj_out(queries)).unflatten(0, windows.shape[:2])
