"""The spatial layers of SD 1.5's UNet, with diffusers' parameter names.

The transformer block is where the paper departs from it: the text cross-attention (`attn2`) becomes
reference-attention, and an audio-attention follows it (sections 3.2, "Backbone Network" and "Audio Layers").
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import Attention, CrossAttention, FeedForward, KeyValue, sinusoid, zero_parameters
from .audio_layers import AudioAttention
from .conditions import SiteConditions
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
    """Self-attention, reference-attention, identity and voice, feed-forward on [B, N, C].

    Which of them there are, and whether the reference has an attention of its own or is joined to the
    self-attention, is the configuration's choice. In the ReferenceNet (`reads` false) a block leaves the
    features that the Backbone's block of the same place reads: the paper's "feature maps at the outputs of
    its self-attention layers", taken at the norm before or after the self-attention.
    """

    def __init__(self, width: int, config: EmoConfig, reads: bool):
        super().__init__()
        heads = config.spatial.heads
        reference, context, audio = config.reference, config.context, config.audio
        self.reference = reference
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = Attention(width, heads)
        self.norm2 = self.attn2 = self.context = self.audio = None
        if reads:
            if reference.reading == "own":
                self.norm2 = nn.LayerNorm(width)
                self.attn2 = Attention(width, heads, local=config.spatial.local_reference)
            if context is not None and context.in_backbone:
                self.context = CrossAttention(width, heads, context.token_width)
            if audio.place == "block":
                self.audio = AudioAttention(width, heads, audio.token_width, audio.scale)
        elif reference.feature == "norm2" or context is not None:
            self.norm2 = nn.LayerNorm(width)
            self.attn2 = None if context is None else Attention(width, heads, context.token_width)
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width, config.spatial.feed_forward_multiplier)

    def read(self, hidden: Tensor, positions: Tensor | None, site: SiteConditions) -> Tensor:
        """The whole block of the Backbone."""
        normed = self.norm1(hidden)
        seen = self.attn1.project(normed, positions)
        if self.attn2 is None and site.reference is not None:
            seen = seen.joined(site.reference, self.reference.in_turn)
        hidden = hidden + self.attn1(normed, seen, positions)
        if self.attn2 is not None and self.norm2 is not None:
            found = self.attn2(self.norm2(hidden), site.reference, positions)
            hidden = torch.add(hidden, found, alpha=self.reference.scale)
        if self.context is not None:
            hidden = self.context(hidden, site.context)
        if self.audio is not None:
            hidden = self.audio(hidden, site.voice)
        return hidden + self.ff(self.norm3(hidden))

    def write(
        self, hidden: Tensor, positions: Tensor | None, context: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The whole block of the ReferenceNet: its output and the reference features, both [B, N, C].

        context: identity tokens [B, T, W]; None stands for tokens of zeros.
        """
        before = self.norm1(hidden)
        hidden = hidden + self.attn1(before, self.attn1.project(before, positions), positions)
        after = before if self.norm2 is None else self.norm2(hidden)
        if self.attn2 is not None:
            hidden = hidden + self.attn2(after, None if context is None else self.attn2.project(context))
        features = before if self.reference.feature == "norm1" else after
        return hidden + self.ff(self.norm3(hidden)), features

    def project_reference(
        self, features: Tensor, positions: Tensor | None, squared_distances: Tensor
    ) -> KeyValue:
        """Features of the ReferenceNet [B, N, C] -> what `read` takes."""
        attention = self.attn1 if self.attn2 is None else self.attn2
        return attention.project(features, positions, squared_distances)


class SpatialTransformer(nn.Module):
    """One transformer block over the places of a map [B, C, h, w], with its norm and projections."""

    def __init__(self, channels: int, config: EmoConfig, reads: bool):
        super().__init__()
        self.norm = nn.GroupNorm(config.spatial.norm_groups, channels, eps=1e-6)
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(channels, config, reads)])
        self.proj_out = nn.Conv2d(channels, channels, 1)
        self.aligned = None
        if reads and config.spatial.aligned_reference:
            self.aligned = nn.Conv2d(channels, channels, 1, bias=False)
            zero_parameters(self.aligned)
        self.appearance, self.code_scale = None, 1.0
        if reads and config.appearance is not None:
            self.code_scale = config.appearance.scale
            self.appearance = nn.Linear(config.appearance.width, channels, bias=False)
            zero_parameters(self.appearance)
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

    def added(self, portrait: Tensor, code: Tensor | None) -> Tensor | None:
        """What is added to every frame's map, of the portrait's features [B, C, h, w] and its code [B, W].

        [B, C, h, w], [B, C, 1, 1] or nothing.
        """
        added = None if self.aligned is None else self.aligned(portrait)
        if self.appearance is None or code is None:
            return added
        alike = self.appearance(self.code_scale * code)[:, :, None, None]
        return alike if added is None else added + alike

    def read(self, hidden: Tensor, site: SiteConditions) -> Tensor:
        """Backbone: hidden [B*F, C, h, w] and what this site reads."""
        if site.added is not None:
            clips = hidden.unflatten(0, (len(site.added), -1))
            hidden = (clips + site.added[:, None]).flatten(0, 1)
        tokens = self._tokens(hidden)
        return hidden + self._map(self.block.read(tokens, self.positions(hidden), site), hidden)

    def write(self, hidden: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """ReferenceNet: the output map [B, C, h, w] and the reference features [B, h*w, C]."""
        output, features = self.block.write(self._tokens(hidden), self.positions(hidden), context)
        return hidden + self._map(output, hidden), features

    def _tokens(self, hidden: Tensor) -> Tensor:
        return self.proj_in(self.norm(hidden)).flatten(2).transpose(1, 2)

    def _map(self, tokens: Tensor, like: Tensor) -> Tensor:
        return self.proj_out(tokens.transpose(1, 2).unflatten(2, like.shape[-2:]))
