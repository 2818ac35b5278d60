"""The audio layers (paper, section 3.2, "Audio Layers").

A frame f hears A(f-m)..A(f+m): the voice features of its neighbours, which are windowed, projected to tokens,
and attended to after every reference-attention.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import CrossAttention, KeyValue
from .config import AudioConfig


def feature_windows(features: Tensor, window: int, first: int = 0, count: int | None = None) -> Tensor:
    """Voice features [B, F, D] -> `count` frames from `first`, each with its neighbours.

    The result is [B, count, 2*window+1, D]; without a count it holds all frames from `first`. Before the
    first and after the last frame of the features that frame itself is repeated.
    """
    last = features.shape[1] if count is None else first + count
    frames = torch.arange(first, last, device=features.device)
    offsets = torch.arange(-window, window + 1, device=features.device)
    neighbours = (frames[:, None] + offsets).clamp(0, features.shape[1] - 1)
    return features[:, neighbours]


class AudioProjection(nn.Module):
    """Windows [B, F, 2m+1, D] -> tokens [B, F, T, W]."""

    def __init__(self, config: AudioConfig):
        super().__init__()
        self.config = config
        width = (2 * config.window + 1) * config.feature_width
        self.proj1 = nn.Linear(width, config.hidden_width)
        self.proj2 = nn.Linear(config.hidden_width, config.hidden_width)
        self.proj3 = nn.Linear(config.hidden_width, config.tokens * config.token_width)
        self.norm = nn.LayerNorm(config.token_width)

    def forward(self, windows: Tensor) -> Tensor:
        hidden = F.relu(self.proj1(windows.flatten(2).to(self.proj1.weight.dtype)))
        hidden = F.relu(self.proj2(hidden))
        return self.norm(self.proj3(hidden).unflatten(-1, (self.config.tokens, self.config.token_width)))


class AudioAttention(CrossAttention):
    """Cross-attention of a frame's places [B*F, N, C] to the tokens of its voice, added to its input.

    Without a voice (None) it hears tokens of zeros: the unconditional half of guidance.
    """

    def project(self, tokens: Tensor) -> KeyValue:
        """Tokens [B, F, T, W] -> keys and values with a row a frame."""
        return self.attn.project(tokens.flatten(0, 1))
