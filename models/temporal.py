"""The temporal modules (paper, section 3.2, "Temporal Modules"): self-attention over the frame axis.

As in AnimateDiff, on [B*h*w, F, C]. The features of the n motion frames, from the ReferenceNet at the same
place of the skeleton, are joined in front along the frame axis; what comes out at their positions is dropped.
"""

import torch
from torch import Tensor, nn

from .attention import Attention, FeedForward, KeyValue, sinusoid, zero_parameters
from .config import EmoConfig
from .speed_layers import SpeedAttention


class TemporalModule(nn.Module):
    """One module on [B*F, C, h, w], added to its input; its output projection starts at zero."""

    def __init__(self, channels: int, config: EmoConfig):
        super().__init__()
        temporal = config.temporal
        self.norm = nn.GroupNorm(temporal.norm_groups, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.attentions = nn.ModuleList(
            [Attention(channels, temporal.heads) for _ in range(temporal.attentions)]
        )
        self.attention_norms = nn.ModuleList([nn.LayerNorm(channels) for _ in range(temporal.attentions)])
        # Interleaved sines and cosines in AnimateDiff's files, rounded as the file is; read, not made.
        self.stored = temporal.stored_positions > 0
        if self.stored:
            for index in range(temporal.attentions):
                self.register_buffer(
                    f"positions_{index}", torch.zeros(1, temporal.stored_positions, channels)
                )
        self.speed = None
        if config.speed.buckets:
            self.speed = SpeedAttention(channels, temporal.heads, config.speed)
        self.ff_norm = nn.LayerNorm(channels)
        self.ff = FeedForward(channels, temporal.feed_forward_multiplier)
        self.proj_out = nn.Linear(channels, channels)
        zero_parameters(self.proj_out)

    def motion_tokens(self, features: Tensor) -> Tensor:
        """Motion frames' feature maps [B, n, C, h, w] -> what is joined in front, [B*h*w, n, C]."""
        return self._tokens(features.flatten(0, 1), features.shape[1])

    def no_motion_tokens(self, like: Tensor) -> Tensor:
        """What `motion_tokens` gives for zero maps (the first clip's), of the shape of other tokens."""
        return self.proj_in(self.norm.bias).expand_as(like)

    def forward(
        self, hidden: Tensor, frame_count: int, motion: Tensor | None, speed: KeyValue | None
    ) -> Tensor:
        """hidden: [B*F, C, h, w]; motion: from `motion_tokens`, None for a model without motion frames."""
        tokens = self._tokens(hidden, frame_count)
        if motion is not None:
            tokens = torch.cat([motion.to(tokens.dtype), tokens], dim=1)
        tokens = self._attend(tokens, frame_count)
        if self.speed is not None:
            tokens = self.speed(tokens, speed)
        tokens = tokens + self.ff(self.ff_norm(tokens))
        places = hidden.shape[-2:]
        change = self.proj_out(tokens).unflatten(0, (-1, *places))  # [B, h, w, F, C]
        return hidden + change.permute(0, 3, 4, 1, 2).flatten(0, 1)

    def _attend(self, tokens: Tensor, frame_count: int) -> Tensor:
        """The self-attentions; the last one asks for the new frames only, the rest would be dropped."""
        attentions: list[Attention] = list(self.attentions)  # type: ignore[arg-type]
        for index, (attention, norm) in enumerate(zip(attentions, self.attention_norms, strict=True)):
            normed = norm(tokens) + self._positions(index, tokens)
            context = attention.project(normed)
            if attention is attentions[-1]:
                tokens, normed = tokens[:, -frame_count:], normed[:, -frame_count:]
            tokens = tokens + attention(normed, context)
        return tokens

    def _positions(self, attention: int, tokens: Tensor) -> Tensor:
        """What tells the frames of tokens [B*h*w, F, C] apart in one of the attentions, [F, C]."""
        count, width = tokens.shape[1:]
        if self.stored:
            return self.get_buffer(f"positions_{attention}")[0, :count].to(tokens.dtype)
        return sinusoid(torch.arange(count, device=tokens.device), width).to(tokens.dtype)

    def _tokens(self, hidden: Tensor, frame_count: int) -> Tensor:
        normed = self.norm(hidden).unflatten(0, (-1, frame_count))  # [B, F, C, h, w]
        return self.proj_in(normed.permute(0, 3, 4, 1, 2).flatten(0, 2))  # [B*h*w, F, C]
