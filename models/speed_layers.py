"""The speed layers (paper, section 3.2, "Speed Layers"): how fast the head turns, frame by frame."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import Attention, KeyValue, sinusoid
from .audio_layers import feature_windows
from .config import SpeedConfig


def speed_buckets(speeds: Tensor, config: SpeedConfig) -> Tensor:
    """Head speeds w(f) [B, F] in degrees per frame -> S [B, F, (2m+1)*d].

    Bucket i with centre c_i and radius r (half the spacing) gives s_i = tanh((w - c_i) / r * 3); a frame sees
    those of its m neighbours to either side.
    """
    centres = torch.linspace(0, config.highest, config.buckets, device=speeds.device)
    radius = config.highest / (config.buckets - 1) / 2
    vectors = torch.tanh((speeds[..., None] - centres) / radius * 3)  # [B, F, d]
    return feature_windows(vectors, config.window).flatten(2)


class SpeedAttention(nn.Module):
    """Cross-attention over the frame axis, inside a temporal module, to the encoded speeds."""

    def __init__(self, width: int, heads: int, config: SpeedConfig):
        super().__init__()
        self.width = width
        self.linear_1 = nn.Linear((2 * config.window + 1) * config.buckets, width)
        self.linear_2 = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.attn = Attention(width, heads, zero_output=True)

    def project(self, buckets: Tensor) -> KeyValue:
        """S [B, F, (2m+1)*d] -> keys and values over the frames, one row a clip."""
        encoded = self.linear_2(F.silu(self.linear_1(buckets)))
        frames = sinusoid(torch.arange(buckets.shape[1], device=buckets.device), self.width)
        return self.attn.project(encoded, frames.to(encoded.dtype))

    def forward(self, hidden: Tensor, speed: KeyValue | None) -> Tensor:
        """Hidden [B*h*w, F, C]; speed from `project`, None for a model or stage without a given speed."""
        frames = sinusoid(torch.arange(hidden.shape[1], device=hidden.device), self.width).to(hidden.dtype)
        return hidden + self.attn(self.norm(hidden), speed, frames)
