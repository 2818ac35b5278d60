"""Random weights and inputs of a published family's denoising step, at any size."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..models.build import EmoNetworks, build_networks
from ..models.checkpoints.family import Family
from ..models.config import EmoConfig
from ..models.region_audio import VoiceRegions
from ..steps.guidance import Halves, identity_tokens, picture_features, prepare_halves


def sized(family: Family, narrower: int = 1, frames: int | None = None) -> Family:
    """A family with every width of its spatial layers divided, and clips of another length."""
    config = family.config
    widths = tuple(width // narrower for width in config.spatial.channels)
    temporal = replace(config.temporal, frames_per_clip=frames or config.temporal.frames_per_clip)
    loop = replace(config.loop, overlap_frames=min(config.loop.overlap_frames, temporal.frames_per_clip - 1))
    spatial = replace(config.spatial, channels=widths)
    return replace(family, config=replace(config, spatial=spatial, temporal=temporal, loop=loop))


@dataclass(frozen=True)
class StepInputs:
    """What one denoising step of a clip is given, guided.

    Attributes:
        pictures: latents of the portrait and the motion frames [1 + n, C, h, w].
        identity: a face embedding [1, E] or tokens [1, T, W]; None for a model without.
        voice: tokens [1, F, T, W]; None for a model that hears nothing.
        mask: what the locator reads [1, c, 8h, 8w].
        regions: where the voice is heard, as Hallo's layers want it.
        latents: noisy ones [1, F, C, h, w].
        timestep: one number.
    """

    pictures: Tensor
    identity: Tensor | None
    voice: Tensor | None
    mask: Tensor
    regions: VoiceRegions
    latents: Tensor
    timestep: Tensor

    @classmethod
    def draw(cls, config: EmoConfig, height: int, width: int, like: Tensor) -> "StepInputs":
        """Random ones for latents of this size, of a tensor's device and dtype."""

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, device=like.device, dtype=like.dtype)

        def even(*shape: int) -> Tensor:
            return torch.rand(shape, device=like.device, dtype=like.dtype)

        frames, channels = config.temporal.frames_per_clip, config.spatial.latent_channels
        context, audio = config.context, config.audio
        identity = voice = None
        if context is not None and context.in_backbone:
            embedded = context.embedding_width
            shape = (context.tokens, context.token_width) if embedded is None else (embedded,)
            identity = normal(1, *shape)
        if audio.place != "none":
            voice = normal(1, frames, audio.tokens, audio.token_width)
        depths = range(len(config.spatial.channels))
        return cls(
            normal(1 + config.temporal.motion_frames, channels, height, width),
            identity,
            voice,
            even(1, config.locator.channels_in, 8 * height, 8 * width),
            VoiceRegions(tuple(even(3, 1, (height >> d) * (width >> d)) for d in depths)),
            normal(1, frames, channels, height, width),
            torch.tensor(637, device=like.device),
        )

    def halves(self, networks: EmoNetworks) -> Halves:
        """The conditions, projected once for all steps."""
        features = picture_features(networks, self.pictures, self.identity, guided=True)
        return prepare_halves(networks, features, self.voice, self.mask, self.regions)

    def tokens(self, networks: EmoNetworks) -> Tensor | None:
        """Identity tokens of both halves [2, T, W], the unconditional one first."""
        return identity_tokens(networks, self.identity, guided=True)


def random_networks(config: EmoConfig, device: str, dtype: torch.dtype) -> EmoNetworks:
    """Networks in which every condition acts: no layer is left at the zeros that training starts from."""
    networks = build_networks(config, device).to(dtype).requires_grad_(False)
    for name, value in networks.state_dict().items():
        if value.ndim > 1:
            value.normal_(std=0.7 * value[0].numel() ** -0.5)
        else:
            value.normal_(mean=1.0 if "norm" in name and name.endswith("weight") else 0.0, std=0.05)
    return networks
