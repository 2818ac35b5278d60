"""The spatial layers of SD 1.5's UNet, with diffusers' parameter names.

The transformer block is where the paper departs from it: the text cross-attention (`attn2`) becomes
reference-attention, and an audio-attention follows it (sections 3.2, "Backbone Network" and "Audio Layers").
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import Attention, FeedForward, KeyValue, sinusoid
from .audio_layers import AudioAttention
from .config import EmoConfig, SpatialConfig


class TimestepEmbedding(nn.Module):
    """Timesteps [B] -> [B, time_width]."""

    def __init__(self, config: SpatialConfig):
        super().__init__()
        self.width = config.channels[0]
        self.linear_1 = nn.Linear(self.width, config.time_width)
        self.linear_2 = nn.Linear(config.time_width, config.time_width)

    def forward(self, timesteps: Tensor) -> Tensor:
        # SD 1.5 puts the cosines first.
        embedded = sinusoid(timesteps, self.width).roll(self.width // 2, dims=-1)
        return self.linear_2(F.silu(self.linear_1(embedded.to(self.linear_1.weight.dtype))))


class ResidualBlock(nn.Module):
    """Two convolutions with the timestep between them. [B, C_in, h, w] -> [B, C_out, h, w]."""

    def __init__(self, channels_in: int, channels_out: int, config: SpatialConfig):
        super().__init__()
        self.norm1 = nn.GroupNorm(config.norm_groups, channels_in, eps=1e-5)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.time_emb_proj = nn.Linear(config.time_width, channels_out)
        self.norm2 = nn.GroupNorm(config.norm_groups, channels_out, eps=1e-5)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(channels_in, channels_out, 1) if channels_in != channels_out else None

    def forward(self, hidden: Tensor, time: Tensor) -> Tensor:
        """time: embedded timestep [1 or B, time_width], before its SiLU."""
        residual = self.conv1(F.silu(self.norm1(hidden)))
        residual = residual + self.time_emb_proj(F.silu(time))[:, :, None, None]
        residual = self.conv2(F.silu(self.norm2(residual)))
        return residual + (hidden if self.conv_shortcut is None else self.conv_shortcut(hidden))


class Downsample(nn.Module):
    """Strided convolution: halves the sides."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.conv(hidden)


class Upsample(nn.Module):
    """Nearest neighbour and a convolution, to the size of the skip that comes next."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, hidden: Tensor, size: tuple[int, int]) -> Tensor:
        return self.conv(F.interpolate(hidden, size=size, mode="nearest"))


def _grid_axes(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows [h] and columns [w] of a map on a 16x16 scale."""
    rows = (torch.arange(height, device=device) + 0.5) * (16 / height)
    return rows, (torch.arange(width, device=device) + 0.5) * (16 / width)


def grid_squared_distances(height: int, width: int, device: torch.device) -> Tensor:
    """Between all places of a map [h*w, h*w], on a 16x16 scale."""
    places = torch.cartesian_prod(*_grid_axes(height, width, device))
    return (places[:, None] - places[None]).square().sum(-1)


def grid_positions(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """2-D sinusoids [h*w, C]: half of the channels from the row, half from the column, on a 16x16 scale."""
    rows, columns = _grid_axes(height, width, device)
    by_row = sinusoid(rows, channels // 2)[:, None].expand(height, width, -1)
    by_column = sinusoid(columns, channels // 2)[None].expand(height, width, -1)
    return torch.cat([by_row, by_column], dim=-1).flatten(0, 1)


class TransformerBlock(nn.Module):
    """Self-attention, reference-attention, audio-attention, feed-forward on [B, N, C].

    In the ReferenceNet (`reads` false) the second and third are left out, and what the Backbone reads is
    the normalised output of the self-attention: the paper's "feature maps at the outputs of its
    self-attention layers", taken after `norm2` as V-Express does.
    """

    def __init__(self, width: int, config: EmoConfig, reads: bool):
        super().__init__()
        heads = config.spatial.heads
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        if reads:
            self.attn2 = Attention(width, heads, local=config.spatial.local_reference)
            self.audio = AudioAttention(width, heads, config.audio.token_width)
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width, config.spatial.feed_forward_multiplier)

    def attend_to_itself(self, hidden: Tensor, positions: Tensor | None) -> Tensor:
        """The first part: hidden [B, N, C] after its self-attention."""
        normed = self.norm1(hidden)
        return hidden + self.attn1(normed, self.attn1.project(normed, positions), positions)

    def read(
        self, hidden: Tensor, positions: Tensor | None, reference: KeyValue | None, voice: KeyValue | None
    ) -> Tensor:
        """The whole block of the Backbone."""
        hidden = self.attend_to_itself(hidden, positions)
        hidden = hidden + self.attn2(self.norm2(hidden), reference, positions)
        hidden = self.audio(hidden, voice)
        return hidden + self.ff(self.norm3(hidden))

    def write(self, hidden: Tensor, positions: Tensor | None) -> tuple[Tensor, Tensor]:
        """The whole block of the ReferenceNet: its output and the reference features, both [B, N, C]."""
        hidden = self.attend_to_itself(hidden, positions)
        features = self.norm2(hidden)
        return hidden + self.ff(self.norm3(hidden)), features


class SpatialTransformer(nn.Module):
    """One transformer block over the places of a map [B, C, h, w], with its norm and projections."""

    def __init__(self, channels: int, config: EmoConfig, reads: bool):
        super().__init__()
        self.norm = nn.GroupNorm(config.spatial.norm_groups, channels, eps=1e-6)
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(channels, config, reads)])
        self.proj_out = nn.Conv2d(channels, channels, 1)
        self.uses_positions = config.spatial.grid_positions

    @property
    def block(self) -> TransformerBlock:
        """The one block."""
        return self.transformer_blocks[0]  # type: ignore[return-value]

    def positions(self, hidden: Tensor) -> Tensor | None:
        """Grid positions for a map [B, C, h, w], in its dtype; None where the model has none."""
        if not self.uses_positions:
            return None
        channels, height, width = hidden.shape[1:]
        return grid_positions(height, width, channels, hidden.device).to(hidden.dtype)

    def read(self, hidden: Tensor, reference: KeyValue | None, voice: KeyValue | None) -> Tensor:
        """Backbone: hidden [B*F, C, h, w]; reference K/V a row per clip, voice K/V a row per frame."""
        tokens = self._tokens(hidden)
        return hidden + self._map(self.block.read(tokens, self.positions(hidden), reference, voice), hidden)

    def write(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """ReferenceNet: the output map [B, C, h, w] and the reference features [B, h*w, C]."""
        output, features = self.block.write(self._tokens(hidden), self.positions(hidden))
        return hidden + self._map(output, hidden), features

    def _tokens(self, hidden: Tensor) -> Tensor:
        return self.proj_in(self.norm(hidden)).flatten(2).transpose(1, 2)

    def _map(self, tokens: Tensor, like: Tensor) -> Tensor:
        return self.proj_out(tokens.transpose(1, 2).unflatten(2, like.shape[-2:]))
