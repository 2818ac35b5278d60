"""The loss of a stage: a batch with noise on its latents -> the error of the velocity that is predicted."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..models.build import EmoNetworks
from ..models.conditions import ClipConditions
from ..models.reference_net import SiteFeatures
from ..models.speed_layers import speed_buckets
from ..steps.noise import correlate_noise, noise_kernel
from ..steps.schedulers import signal_levels
from .batches import Batch, as_single_images, box_masks
from .rollout import (
    noise_scales,
    rolled_timesteps,
    rolled_weight,
    shown_timesteps,
    step_on,
    velocity_to,
)
from .stages import StageConfig

# Of the logit-normal distribution of single images; a little above 0 leans towards noise.
_IMAGE_CENTRE = 0.3
_SEAM_FRAMES = 1.5  # over which a clip's first frames lose what they count more


def draw_timesteps(
    count: int, levels: int, middle_share: float, centre: float, generator: torch.Generator
) -> Tensor:
    """Timesteps [count] in 0..levels - 1, a share of them mostly from the middle (see `StageConfig`)."""
    even = torch.rand(count, generator=generator)
    middle = torch.sigmoid(centre + torch.randn(count, generator=generator))
    chosen = torch.where(torch.rand(count, generator=generator) < middle_share, middle, even)
    return (chosen * levels).long().clamp(max=levels - 1)


@dataclass(frozen=True)
class Prediction:
    """What the networks take noisy latents for.

    Attributes:
        noisy: what they saw [clips, F, C, h, w].
        level: its cumulated alphas [clips, 1, 1, 1, 1].
        velocity: what they predicted, as `noisy`.
        squared: its squared errors, weighted by their timestep.
    """

    noisy: Tensor
    level: Tensor
    velocity: Tensor
    squared: Tensor

    @property
    def clean(self) -> Tensor:
        """The clean latents that the velocity leads to."""
        return self.level.sqrt() * self.noisy - (1 - self.level).sqrt() * self.velocity


class StageLoss(nn.Module):
    """The loss of one stage on a batch.

    Batches may lie anywhere; they are computed where the networks are. Random numbers are drawn on the CPU,
    so that a seed means the same on every device.

    Args:
        weights: of the latent channels [C], see `channel_weights`.
        mouth_reader: for stages with a mouth_weight, see `mouth_reader`.
    """

    def __init__(
        self,
        networks: EmoNetworks,
        stage: StageConfig,
        weights: Tensor,
        mouth_reader: nn.Module | None = None,
    ):
        super().__init__()
        self.networks, self.stage, self.mouth_reader = networks, stage, mouth_reader
        self.device = next(networks.parameters()).device
        self.channel_weights = weights.view(-1, 1, 1).to(self.device)
        self.levels = signal_levels(networks.config.diffusion).to(self.device)
        self.kernel = noise_kernel(networks.config.diffusion.noise_correlation_frames)

    def forward(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        stage, batch = self.stage, batch.to(self.device)
        centre = _IMAGE_CENTRE if batch.motion is None else stage.clip_centre
        timesteps = draw_timesteps(batch.clips, len(self.levels), stage.middle_share, centre, generator)
        chance = float(torch.rand((), generator=generator))
        if chance < stage.rolled_share:
            prediction = self._rolled(batch, timesteps, generator)
        elif chance < stage.rolled_share + stage.decoy_share:
            prediction = self._corrected(batch, timesteps, generator)
        else:
            prediction = self._denoise(batch, timesteps, generator)
        squared = prediction.squared
        weighted = squared * self.channel_weights * _as_clips(batch.weights, squared)
        if batch.motion is not None:
            seams = seam_weights(squared.shape[1], stage.seam_weight).to(self.device)
            weighted = weighted * seams.view(-1, 1, 1, 1)
        loss, told = weighted.mean(), {"velocity_mse": squared.detach().mean()}
        for name, weight, missed in self._read_terms(batch, prediction):
            loss, told = loss + weight * missed, {**told, name: missed.detach()}
        return {"loss": loss, **told}

    def _read_terms(self, batch: Batch, prediction: Prediction) -> Iterator[tuple[str, float, Tensor]]:
        """What readers miss in the predicted latents, by name, with its weight."""
        stage, level = self.stage, prediction.level
        appearance = self.networks.reference_net.appearance
        for reader, network, weight, counted in (
            ("appearance_encoder", appearance, stage.likeness_weight, level),
            ("mouth_reader", self.mouth_reader, stage.mouth_weight, torch.ones_like(level)),
        ):
            if weight > 0:
                if network is None:
                    raise InputError(
                        got=f"a weight of {weight}, but no {reader.replace('_', ' ')}",
                        allowed="a weight of 0 without one",
                        do="give one, or set the weight to 0",
                    )
                yield f"missed_by_{reader}", weight, self._missed(network, batch, prediction, counted)

    def _missed(self, reader: nn.Module, batch: Batch, prediction: Prediction, counted: Tensor) -> Tensor:
        """How far predicted latents are from the true by a reader, each clip counted [clips, 1, 1, 1, 1]."""
        predicted = prediction.clean.flatten(0, 1)
        with self._autocast():
            read = reader(predicted.contiguous(memory_format=torch.channels_last)).float()
            with torch.no_grad():
                true = reader(batch.latents.view_as(predicted)).float()
        of_frames = counted.expand(*prediction.noisy.shape[:2], 1, 1, 1).flatten()
        return ((read - true).square().mean(1) * of_frames).mean()

    @torch.no_grad()
    def predicted_latents(
        self, batch: Batch, signal: tuple[float, float], generator: torch.Generator
    ) -> Tensor:
        """What the networks take a batch's clean latents for, of the shape of its latents.

        signal: range of the clean latents' factor in what the networks see, drawn evenly for each clip.
        """
        low, high = signal
        batch = batch.to(self.device)
        wanted = low + (high - low) * torch.rand(batch.clips, 1, generator=generator)
        timesteps = (self.levels.sqrt() - wanted.to(self.device)).abs().argmin(1)
        return self._denoise(batch, timesteps, generator).clean.view_as(batch.latents)

    def _denoise(self, batch: Batch, timesteps: Tensor, generator: torch.Generator) -> Prediction:
        """Of latents with noise."""
        batch, conditions = self._prepared(batch, generator)
        noise = self._noise(batch.latents, generator)
        level = self._level(timesteps)
        signal, spread = level.sqrt(), (1 - level).sqrt()
        noisy = signal * batch.latents + spread * noise
        predicted = self._velocity(batch, noisy, timesteps, conditions)
        squared = (predicted - (signal * noise - spread * batch.latents)).square()
        return Prediction(noisy, level, predicted, squared)

    def _rolled(self, batch: Batch, timesteps: Tensor, generator: torch.Generator) -> Prediction:
        """After a step of the networks' own, see `rollout`."""
        if batch.motion is not None:
            batch = replace(batch, motion=self._own_motion(batch, batch.motion, generator))
        batch, conditions = self._prepared(batch, generator)
        start, end = rolled_timesteps(timesteps, generator)
        level, next_level = self._level(start), self._level(end)
        scaled = self._scaled_noise(batch.latents, generator)
        noisy = level.sqrt() * batch.latents + (1 - level).sqrt() * scaled
        with torch.no_grad():
            step = self._velocity(batch, noisy, start, conditions)
        noisy = step_on(noisy, step, level, next_level)
        predicted = self._velocity(batch, noisy, end, conditions)
        return self._way_back(batch, noisy, next_level, predicted)

    def _corrected(self, batch: Batch, timesteps: Tensor, generator: torch.Generator) -> Prediction:
        """Of the way back to the portrait's face from a decoy's."""
        decoys = batch.decoys
        if decoys is None:
            raise InputError(
                got=f"records without decoys and a decoy_share of {self.stage.decoy_share}",
                allowed="records with decoys, or a share of 0",
                do="write the dataset with --decoys",
            )
        batch, conditions = self._prepared(replace(batch, motion=batch.motion_decoys), generator)
        timesteps = shown_timesteps(timesteps)
        level = self._level(timesteps)
        noise = self._scaled_noise(batch.latents, generator)
        noisy = level.sqrt() * decoys.view_as(batch.latents) + (1 - level).sqrt() * noise
        predicted = self._velocity(batch, noisy, timesteps, conditions)
        return self._way_back(batch, noisy, level, predicted)

    @staticmethod
    def _way_back(batch: Batch, noisy: Tensor, level: Tensor, predicted: Tensor) -> Prediction:
        """Of latents that are not the truth with noise on them."""
        squared = (predicted - velocity_to(batch.latents, noisy, level)).square()
        return Prediction(noisy, level, predicted, squared * rolled_weight(level))

    @torch.no_grad()
    def _own_motion(self, batch: Batch, motion: Tensor, generator: torch.Generator) -> Tensor:
        """The motion frames [B, n, C, h, w] as the networks draw them, of the truth under some noise."""
        networks = self.networks
        timesteps, _ = rolled_timesteps(
            torch.randint(len(self.levels), (len(motion),), generator=generator), generator
        )
        level = self._level(timesteps)
        scaled = self._scaled_noise(motion, generator)
        noisy = level.sqrt() * motion + (1 - level).sqrt() * scaled
        masks = box_masks(batch.boxes, networks.config.locator.mask_scale * motion.shape[-1])
        with self._autocast():
            portrait = networks.reference_net(batch.reference)
            conditions = networks.backbone.prepare(portrait, None, None, masks, None)
            step = networks.backbone(noisy, timesteps.to(self.device), conditions).float()
        return level.sqrt() * noisy - (1 - level).sqrt() * step

    def _level(self, timesteps: Tensor) -> Tensor:
        return self.levels[timesteps.to(self.device)].view(-1, 1, 1, 1, 1)

    def _noise(self, latents: Tensor, generator: torch.Generator) -> Tensor:
        records, frame_count = latents.shape[:2]
        if frame_count == 1:
            return torch.randn(latents.shape, generator=generator).to(self.device)
        extent = frame_count + len(self.kernel) - 1
        white = torch.randn((records, extent, *latents.shape[2:]), generator=generator)
        return correlate_noise(white, self.kernel).to(self.device)

    def _scaled_noise(self, latents: Tensor, generator: torch.Generator) -> Tensor:
        scales = noise_scales(len(latents), generator).to(self.device)
        return scales * self._noise(latents, generator)

    def _kept(self, count: int, dropout: float, generator: torch.Generator) -> Tensor:
        return (torch.rand(count, generator=generator) >= dropout).float().to(self.device)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16)

    def _prepared(self, batch: Batch, generator: torch.Generator) -> tuple[Batch, ClipConditions]:
        """The batch in clips, and the conditions of these; unrelated images are a clip each."""
        networks, stage = self.networks, self.stage
        images_a_portrait = batch.latents.shape[1]
        if batch.motion is None:
            batch = as_single_images(batch)
        records = len(batch.reference)
        with self._autocast():
            portrait = networks.reference_net(batch.reference)
            portrait = _scaled(portrait, self._kept(records, stage.portrait_dropout, generator))
            tokens = networks.audio_projection(batch.windows)
            tokens = tokens * self._kept(len(tokens), stage.voice_dropout, generator)[:, None, None, None]
            masks = box_masks(batch.boxes, networks.config.locator.mask_scale * batch.latents.shape[-1])
            if batch.motion is None:
                repeated = tuple(_repeated(site, images_a_portrait) for site in portrait)
                return batch, networks.backbone.prepare(repeated, None, tokens, masks, None)
            motion = self._motion_features(batch.motion, generator)
            speed = speed_buckets(batch.speed, networks.config.speed) if stage.gives_speed else None
            return batch, networks.backbone.prepare(portrait, motion, tokens, masks, speed)

    def _velocity(self, batch: Batch, noisy: Tensor, timesteps: Tensor, conditions: ClipConditions) -> Tensor:
        """The predicted velocity of a batch in clips; unrelated images pass no temporal module."""
        backbone = self.networks.backbone
        denoise = backbone.forward_images if batch.motion is None else backbone
        with self._autocast():
            return denoise(noisy, timesteps.to(self.device), conditions).float()

    def _motion_features(self, motion: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        records, count = motion.shape[:2]
        noise = torch.randn(motion.shape, generator=generator).to(self.device)
        noisy = motion + self.stage.motion_noise * noise
        kept = self._kept(records, self.stage.motion_dropout, generator)[:, None, None, None, None]
        features = self.networks.reference_net(noisy.flatten(0, 1))
        return tuple(site.output.unflatten(0, (records, count)) * kept for site in features)


def seam_weights(frame_count: int, seam_weight: float) -> Tensor:
    """What the frames of a clip count in the loss [F]: the first 1 + seam_weight, the last about 1."""
    return 1 + seam_weight * torch.exp(-torch.arange(frame_count) / _SEAM_FRAMES)


def _as_clips(weights: Tensor, like: Tensor) -> Tensor:
    """Weights [B, F, 1, h, w] with the clips and frames of `like`."""
    return weights.reshape(*like.shape[:2], 1, *like.shape[-2:])


def _scaled(sites: tuple[SiteFeatures, ...], factors: Tensor) -> tuple[SiteFeatures, ...]:
    return tuple(
        replace(
            site,
            reference=None if site.reference is None else site.reference * factors[:, None, None],
            appearance=None if site.appearance is None else site.appearance * factors[:, None],
        )
        for site in sites
    )


def _repeated(site: SiteFeatures, count: int) -> SiteFeatures:
    given = (site.reference, site.output, site.appearance)
    return SiteFeatures(*(None if value is None else value.repeat_interleave(count, 0) for value in given))  # type: ignore[arg-type]
