"""Audio layers as a block of their own after the transformer, which hears the voice region by region.

Three attentions to the same voice tokens stand for the whole picture, the face and the lips; each is masked
by its region and enters through a convolution of its own. What is heard of a voice of zero tokens does not
depend on the latents, so it is one map per site, made once a clip.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import Attention, FeedForward, KeyValue, zero_parameters
from .config import EmoConfig

REGIONS = ("full", "face", "lip")


@dataclass(frozen=True)
class VoiceRegions:
    """Where the voice is heard in the picture.

    Attributes:
        masks: a tensor [3, R, h*w] for each level, finest first: whole picture without the face, face without
            the lips, lips; R is 1, or a row for every frame.
        weights: factors on the three.
    """

    masks: tuple[Tensor, ...]
    weights: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class RegionVoice:
    """What one site hears while a clip is denoised.

    Attributes:
        voice: keys and values of each region's attention, a row a frame; None: no voice.
        masks: weighted masks [3, R, N, 1].
        mixing: from the attentions' outputs, side by side, to the hidden width [C, 3*C].
        constant: what is heard whatever the voice says [R, N, C].
    """

    voice: tuple[KeyValue, ...] | None
    masks: Tensor
    mixing: Tensor
    constant: Tensor


class RegionAudioBlock(nn.Module):
    """Self-attention, the three audio-attentions, feed-forward on [B*F, N, C]."""

    def __init__(self, width: int, config: EmoConfig):
        super().__init__()
        heads, token_width = config.spatial.heads, config.audio.token_width
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        for index, region in enumerate(REGIONS):
            self.add_module(f"attn2_{index}", Attention(width, heads, context_width=token_width))
            self.add_module(f"zero_conv_{region}", nn.Conv2d(width, width, 1))
            zero_parameters(self.get_submodule(f"zero_conv_{region}"))
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width, config.spatial.feed_forward_multiplier)

    @property
    def attentions(self) -> list[Attention]:
        """The attentions of the three regions."""
        return [self.get_submodule(f"attn2_{index}") for index in range(len(REGIONS))]  # type: ignore[misc]

    @property
    def entries(self) -> list[nn.Conv2d]:
        """The convolutions through which the three enter."""
        return [self.get_submodule(f"zero_conv_{region}") for region in REGIONS]  # type: ignore[misc]

    def prepare(self, tokens: Tensor | None, masks: Tensor, weights: tuple[float, ...]) -> RegionVoice:
        """Tokens [B, F, T, W] and masks [3, R, N] -> what `forward` needs of them.

        The mask is one number a place, so that a region's output layer and its entry are one matrix.
        """
        weighted = masks[..., None] * masks.new_tensor(weights)[:, None, None, None]  # [3, R, N, 1]
        mixing: list[Tensor] = []
        constant = weighted.new_zeros(())
        for attention, entry, weight, mask in zip(
            self.attentions, self.entries, weights, weighted, strict=True
        ):
            into, bias = entry.weight[:, :, 0, 0].to(masks.device, torch.float32), attention.output.bias
            mixing.append(into @ attention.output.weight.to(into))
            constant = constant + mask * (into @ bias.to(into))
            if entry.bias is not None:
                constant = constant + weight * entry.bias.to(into)
        dtype = self.norm1.weight.dtype
        voice = None
        if tokens is not None:
            voice = tuple(attention.project(tokens.flatten(0, 1)) for attention in self.attentions)
        return RegionVoice(voice, weighted.to(dtype), torch.cat(mixing, dim=1).to(dtype), constant.to(dtype))

    def forward(self, hidden: Tensor, heard: RegionVoice) -> Tensor:
        normed = self.norm1(hidden)
        hidden = hidden + self.attn1(normed, self.attn1.project(normed))
        hidden = hidden + heard.constant + self._change(hidden, heard)
        return hidden + self.ff(self.norm3(hidden))

    def _change(self, hidden: Tensor, heard: RegionVoice) -> Tensor | float:
        """What the voice adds; nothing where there is none."""
        if heard.voice is None:
            return 0.0
        normed = self.norm2(hidden)
        parts = [
            attention.attended(normed, voice) * mask
            for attention, voice, mask in zip(self.attentions, heard.voice, heard.masks, strict=True)
        ]
        return F.linear(torch.cat(parts, dim=-1), heard.mixing)


class RegionAudioModule(nn.Module):
    """The block over the places of a map [B*F, C, h, w], with its norm and projections.

    `inner_width` is the width at which the block works.
    """

    def __init__(self, channels: int, inner_width: int, config: EmoConfig):
        super().__init__()
        self.norm = nn.GroupNorm(config.spatial.norm_groups, channels, eps=1e-6)
        self.proj_in = nn.Conv2d(channels, inner_width, 1)
        self.transformer_blocks = nn.ModuleList([RegionAudioBlock(inner_width, config)])
        self.proj_out = nn.Conv2d(inner_width, channels, 1)

    @property
    def block(self) -> RegionAudioBlock:
        """The one block."""
        return self.transformer_blocks[0]  # type: ignore[return-value]

    def forward(self, hidden: Tensor, heard: RegionVoice) -> Tensor:
        tokens = self.proj_in(self.norm(hidden)).flatten(2).transpose(1, 2)
        tokens = self.block(tokens, heard)
        return hidden + self.proj_out(tokens.transpose(1, 2).unflatten(2, hidden.shape[-2:]))
