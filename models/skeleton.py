"""The image skeleton that Backbone and ReferenceNet share: SD 1.5's UNet, walked place by place.

A *site* is a place after a residual block where the two networks meet: there stands a transformer (on levels
with attention) and, in the Backbone, a temporal module and perhaps an audio module. Sites are numbered in the
order of the walk.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .attention import zero_parameters
from .config import EmoConfig
from .region_audio import RegionAudioModule
from .spatial import Downsample, ResidualBlock, SpatialTransformer, TimestepEmbedding, Upsample
from .temporal import TemporalModule

Visit = Callable[[int, Tensor], Tensor]


class Site(NamedTuple):
    """The layers of one site; None where the model, the level or the ReferenceNet has none.

    Attributes:
        depth: how often the latents' sides are halved here.
        transformer: self-attention and what is read.
        audio: the voice, region by region.
        temporal: attention over the frames.
    """

    depth: int
    transformer: SpatialTransformer | None
    audio: RegionAudioModule | None
    temporal: TemporalModule | None


class Level(nn.Module):
    """The layers of one resolution, with diffusers' names.

    Attributes:
        depth: how often the latents' sides are halved here.
        resnets, attentions, audio_modules, motion_modules: a residual block and a site's layers, which may
            be left out.
        downsamplers, upsamplers: what leads to the next level.
    """

    def __init__(self, depth: int, widths: list[tuple[int, int]], config: EmoConfig, attention: bool):
        super().__init__()
        self.depth = depth
        self.attention = attention
        self.resnets = nn.ModuleList([ResidualBlock(a, b, config.spatial) for a, b in widths])
        self.attentions = nn.ModuleList()
        self.audio_modules = nn.ModuleList()
        self.motion_modules = nn.ModuleList()
        self.downsamplers = nn.ModuleList()
        self.upsamplers = nn.ModuleList()

    def add_sites(self, widths: list[int], audio_widths: list[int], config: EmoConfig, reads: bool) -> None:
        """Give the level its sites: their widths, and the inner widths of their audio modules."""
        self.site_count = len(widths)
        for width, audio_width in zip(widths, audio_widths, strict=True):
            if self.attention:
                self.attentions.append(SpatialTransformer(width, config, reads))
            if reads and self.attention and config.audio.place == "module":
                self.audio_modules.append(RegionAudioModule(width, audio_width, config))
            if reads and (self.attention or config.temporal.every_site):
                self.motion_modules.append(TemporalModule(width, config))

    def sites(self) -> list[Site]:
        """The layers of its sites."""

        def layer(modules: nn.ModuleList, index: int) -> Any:
            return modules[index] if len(modules) else None

        return [
            Site(
                self.depth,
                layer(self.attentions, index),
                layer(self.audio_modules, index),
                layer(self.motion_modules, index),
            )
            for index in range(self.site_count)
        ]


class Skeleton(nn.Module):
    """conv_in, timestep embedding and the levels. `reads` tells the Backbone from the ReferenceNet."""

    def __init__(self, config: EmoConfig, reads: bool):
        super().__init__()
        spatial = config.spatial
        widths = spatial.channels
        self.conv_in = nn.Conv2d(spatial.latent_channels, widths[0], 3, padding=1)
        self.time_embedding = TimestepEmbedding(spatial)
        self.down_blocks = nn.ModuleList()
        skips = [widths[0]]
        for index, width in enumerate(widths):
            pairs = [(skips[-1] if layer == 0 else width, width) for layer in range(spatial.layers_per_level)]
            level = Level(index, pairs, config, spatial.attention_levels[index])
            level.add_sites([width] * len(pairs), [width_in for width_in, _ in pairs], config, reads)
            skips += [width] * spatial.layers_per_level
            if index < len(widths) - 1:
                level.downsamplers.append(Downsample(width))
                skips.append(width)
            self.down_blocks.append(level)
        deepest = widths[-1]
        self.mid_block = Level(len(widths) - 1, [(deepest, deepest)] * 2, config, attention=True)
        self.mid_block.add_sites([deepest], [deepest], config, reads)
        self.up_blocks = nn.ModuleList()
        self._add_up_blocks(skips, config, reads)
        for site in self.sites:
            if site.transformer is not None:
                zero_parameters(site.transformer.proj_out)

    def _add_up_blocks(self, skips: list[int], config: EmoConfig, reads: bool) -> None:
        spatial = config.spatial
        widths = spatial.channels
        previous = widths[-1]
        for index, width in reversed(list(enumerate(widths))):
            pairs = []
            for _ in range(spatial.layers_per_level + 1):
                pairs.append((previous + skips.pop(), width))
                previous = width
            level = Level(index, pairs, config, spatial.attention_levels[index])
            # On the way up an audio module works at the width of the next finer level.
            finer = widths[max(index - 1, 0)]
            level.add_sites([width] * len(pairs), [finer] * len(pairs), config, reads)
            if index > 0:
                level.upsamplers.append(Upsample(width))
            self.up_blocks.append(level)

    @property
    def dtype(self) -> torch.dtype:
        """What the network computes in; what enters it is brought to it."""
        return self.conv_in.weight.dtype

    @property
    def _down(self) -> list[Level]:
        return list(self.down_blocks)  # type: ignore[arg-type]

    @property
    def _up(self) -> list[Level]:
        return list(self.up_blocks)  # type: ignore[arg-type]

    @property
    def sites(self) -> list[Site]:
        """All sites, in the order of the walk."""
        return [site for level in [*self._down, self.mid_block, *self._up] for site in level.sites()]

    @property
    def transformers(self) -> list[SpatialTransformer | None]:
        """The transformer of every site, None on levels without attention."""
        return [site.transformer for site in self.sites]

    @property
    def temporal_modules(self) -> list[TemporalModule]:
        """The temporal modules there are (none in the ReferenceNet)."""
        return [site.temporal for site in self.sites if site.temporal is not None]

    def walk(self, hidden: Tensor, time: Tensor, visit: Visit) -> Tensor:
        """From conv_in's output [B, C, h, w] to the last site's, `visit(site, hidden)` at each site."""
        site = 0
        skips = [hidden]
        for level in self._down:
            for resnet in level.resnets:
                hidden = visit(site, resnet(hidden, time))
                skips.append(hidden)
                site += 1
            for downsample in level.downsamplers:
                hidden = downsample(hidden)
                skips.append(hidden)
        hidden = visit(site, self.mid_block.resnets[0](hidden, time))
        hidden = self.mid_block.resnets[1](hidden, time)
        site += 1
        for level in self._up:
            for resnet in level.resnets:
                hidden = visit(site, resnet(torch.cat([hidden, skips.pop()], dim=1), time))
                site += 1
            for upsample in level.upsamplers:
                hidden = upsample(hidden, skips[-1].shape[-2:])
        return hidden
