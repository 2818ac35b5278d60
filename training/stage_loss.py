"""The loss of a stage: a batch with noise on its latents -> the error of the velocity that is predicted."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from ..models.build import EmoNetworks
from ..models.reference_net import SiteFeatures
from ..models.speed_layers import speed_buckets
from ..steps.noise import correlate_noise, noise_kernel
from ..steps.schedulers import signal_levels
from .batches import Batch, as_single_images, box_masks
from .stages import StageConfig

# Of the logit-normal distribution; a little above 0 leans towards noise.
_MIDDLE_CENTRE = 0.3


def draw_timesteps(count: int, levels: int, middle_share: float, generator: torch.Generator) -> Tensor:
    """Timesteps [count] in 0..levels - 1, a share of them mostly from the middle (see `StageConfig`)."""
    even = torch.rand(count, generator=generator)
    middle = torch.sigmoid(_MIDDLE_CENTRE + torch.randn(count, generator=generator))
    chosen = torch.where(torch.rand(count, generator=generator) < middle_share, middle, even)
    return (chosen * levels).long().clamp(max=levels - 1)


class StageLoss(nn.Module):
    """The loss of one stage on a batch.

    Args:
        weights: of the latent channels [C], see `channel_weights`.
    """

    def __init__(self, networks: EmoNetworks, stage: StageConfig, weights: Tensor):
        super().__init__()
        self.channel_weights = weights.view(-1, 1, 1)
        self.networks, self.stage = networks, stage
        self.levels = signal_levels(networks.config.diffusion)
        self.kernel = noise_kernel(networks.config.diffusion.noise_correlation_frames)

    def forward(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        records, frame_count = batch.latents.shape[:2]
        if batch.motion is None:
            # Unrelated images: every frame is a clip of its own, with its own timestep and region.
            batch = as_single_images(batch)
        noise = self._noise(batch.latents, generator)
        timesteps = draw_timesteps(len(batch.latents), len(self.levels), self.stage.middle_share, generator)
        level = self.levels[timesteps][:, None, None, None, None]
        signal, spread = level.sqrt(), (1 - level).sqrt()
        noisy = signal * batch.latents + spread * noise
        velocity = signal * noise - spread * batch.latents
        with torch.autocast("cpu", torch.bfloat16):
            predicted = self._predict(batch, noisy, timesteps, frame_count, generator)
        squared = (predicted.float() - velocity).square()
        squared = squared * self.channel_weights
        return {"loss": (squared * batch.weights).mean(), "velocity_mse": squared.detach().mean()}

    def _noise(self, latents: Tensor, generator: torch.Generator) -> Tensor:
        records, frame_count = latents.shape[:2]
        if frame_count == 1:
            return torch.randn(latents.shape, generator=generator)
        extent = frame_count + len(self.kernel) - 1
        white = torch.randn((records, extent, *latents.shape[2:]), generator=generator)
        return correlate_noise(white, self.kernel)

    def _predict(
        self,
        batch: Batch,
        noisy: Tensor,
        timesteps: Tensor,
        images_a_portrait: int,
        generator: torch.Generator,
    ) -> Tensor:
        networks, stage = self.networks, self.stage
        records = len(batch.reference)
        portrait = networks.reference_net(batch.reference)
        portrait = _scaled(portrait, _kept(records, stage.portrait_dropout, generator))
        tokens = networks.audio_projection(batch.windows)
        tokens = tokens * _kept(len(tokens), stage.voice_dropout, generator)[:, None, None, None]
        side = networks.config.locator.mask_scale * noisy.shape[-1]
        masks = box_masks(batch.boxes, side)
        if batch.motion is None:
            repeated = tuple(_repeated(site, images_a_portrait) for site in portrait)
            conditions = networks.backbone.prepare(repeated, None, tokens, masks, None)
            return networks.backbone.forward_images(noisy, timesteps, conditions)
        motion = self._motion_features(batch.motion, generator)
        speed = speed_buckets(batch.speed, networks.config.speed) if stage.gives_speed else None
        conditions = networks.backbone.prepare(portrait, motion, tokens, masks, speed)
        return networks.backbone(noisy, timesteps, conditions)

    def _motion_features(self, motion: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        records, count = motion.shape[:2]
        noisy = motion + self.stage.motion_noise * torch.randn(motion.shape, generator=generator)
        kept = _kept(records, self.stage.motion_dropout, generator)[:, None, None, None, None]
        features = self.networks.reference_net(noisy.flatten(0, 1))
        return tuple(site.output.unflatten(0, (records, count)) * kept for site in features)


def _kept(count: int, dropout: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(count, generator=generator) >= dropout).float()


def _scaled(sites: tuple[SiteFeatures, ...], factors: Tensor) -> tuple[SiteFeatures, ...]:
    return tuple(
        replace(site, reference=None if site.reference is None else site.reference * factors[:, None, None])
        for site in sites
    )


def _repeated(site: SiteFeatures, count: int) -> SiteFeatures:
    reference = None if site.reference is None else site.reference.repeat_interleave(count, 0)
    return SiteFeatures(reference, site.output.repeat_interleave(count, 0))
