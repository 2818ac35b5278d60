"""The image skeleton that Backbone and ReferenceNet share: SD 1.5's UNet, walked place by place.

A *site* is a place after a residual block where the two networks meet: there stands a transformer (on levels
with attention) and, in the Backbone, a temporal module. Sites are numbered in the order of the walk.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .attention import zero_parameters
from .config import EmoConfig
from .spatial import Downsample, ResidualBlock, SpatialTransformer, TimestepEmbedding, Upsample
from .temporal import TemporalModule

Visit = Callable[[int, Tensor], Tensor]


class Level(nn.Module):
    """The layers of one resolution, with diffusers' names: resnets, attentions, motion_modules, samplers."""

    def __init__(self, widths: list[tuple[int, int]], config: EmoConfig, attention: bool, reads: bool):
        super().__init__()
        self.resnets = nn.ModuleList([ResidualBlock(a, b, config.spatial) for a, b in widths])
        outputs = [width_out for _, width_out in widths]
        self.attentions = nn.ModuleList(
            [SpatialTransformer(width, config, reads) for width in outputs] if attention else []
        )
        self.motion_modules = nn.ModuleList(
            [TemporalModule(width, config) for width in outputs] if reads else []
        )
        self.downsamplers = nn.ModuleList()
        self.upsamplers = nn.ModuleList()


class MiddleLevel(nn.Module):
    """The coarsest place: residual block, site, residual block."""

    def __init__(self, width: int, config: EmoConfig, reads: bool):
        super().__init__()
        self.resnets = nn.ModuleList([ResidualBlock(width, width, config.spatial) for _ in range(2)])
        self.attentions = nn.ModuleList([SpatialTransformer(width, config, reads)])
        self.motion_modules = nn.ModuleList([TemporalModule(width, config)] if reads else [])


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
            level = Level(pairs, config, spatial.attention_levels[index], reads)
            skips += [width] * spatial.layers_per_level
            if index < len(widths) - 1:
                level.downsamplers.append(Downsample(width))
                skips.append(width)
            self.down_blocks.append(level)
        self.mid_block = MiddleLevel(widths[-1], config, reads)
        self.up_blocks = nn.ModuleList()
        previous = widths[-1]
        for index, width in reversed(list(enumerate(widths))):
            pairs = []
            for _ in range(spatial.layers_per_level + 1):
                pairs.append((previous + skips.pop(), width))
                previous = width
            level = Level(pairs, config, spatial.attention_levels[index], reads)
            if index > 0:
                level.upsamplers.append(Upsample(width))
            self.up_blocks.append(level)
        for level in self._levels():
            for transformer in level.attentions:
                zero_parameters(transformer.proj_out)  # type: ignore[arg-type]

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

    def _levels(self) -> list[Level | MiddleLevel]:
        return [*self._down, self.mid_block, *self._up]

    @property
    def transformers(self) -> list[SpatialTransformer | None]:
        """The transformer of every site, None on levels without attention."""
        found: list[SpatialTransformer | None] = []
        for level in self._levels():
            sites = 1 if isinstance(level, MiddleLevel) else len(level.resnets)
            found += list(level.attentions) or [None] * sites  # type: ignore[arg-type]
        return found

    @property
    def temporal_modules(self) -> list[TemporalModule]:
        """The temporal module of every site (empty in the ReferenceNet)."""
        return [module for level in self._levels() for module in level.motion_modules]  # type: ignore[misc]

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
