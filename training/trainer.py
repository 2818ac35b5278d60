"""The one trainer of the three stages: a batch of records -> the loss on the predicted velocity."""

import argparse
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ..models.avatar import avatar_config
from ..models.build import EmoNetworks, build_networks, channels_last
from ..models.checkpoints.emo import load_autoencoder
from ..models.config import EmoConfig
from ..models.reference_net import SiteFeatures
from ..models.speed_layers import speed_buckets
from ..steps.noise import correlate_noise, noise_kernel
from ..steps.schedulers import signal_levels
from .avatars.motion import mouth_and_eye_weights
from .dataset import Dataset, VoiceFeatureTable
from .latent_weights import channel_weights
from .loop import LoopSettings, TrainingRun
from .stages import STAGES, StageConfig, freeze_for

# Of the logit-normal distribution; a little above 0 leans towards noise.
_MIDDLE_CENTRE = 0.3
PARTS = ("reference_net", "backbone", "audio_projection")


@dataclass(frozen=True)
class Batch:
    """One batch of records.

    Attributes:
        latents: targets [B, F, C, h, w].
        reference: portraits [B, C, h, w].
        motion: the motion frames of clips [B, n, C, h, w]; None for images.
        windows: voice windows of the targets [B, F, 2m+1, D].
        boxes: face regions in 0..1, [B, 4] for clips, [B, F, 4] for images.
        weights: of the loss [B, F, 1, h, w].
        speed: head speeds in degrees per frame [B, F].
    """

    latents: Tensor
    reference: Tensor
    motion: Tensor | None
    windows: Tensor
    boxes: Tensor
    weights: Tensor
    speed: Tensor


def draw_batch(
    data: Dataset, records: int, config: EmoConfig, in_a_row: bool, generator: torch.Generator
) -> Batch:
    """Records at random; of clips, F frames in a row with the n before them as motion frames."""
    chosen = torch.randint(len(data), (records,), generator=generator)
    tensors = {name: value[chosen] for name, value in data.tensors.items()}
    temporal = config.temporal
    count = temporal.frames_per_clip if in_a_row else data.frame_count
    latest = data.frame_count - count
    first = torch.randint(
        temporal.motion_frames if in_a_row else 0, latest + 1, (records,), generator=generator
    )
    rows = torch.arange(records)[:, None]
    frames = first[:, None] + torch.arange(count)  # [B, F]
    latents = tensors["latents"].float()
    reference_count = latents.shape[1] - data.frame_count
    reference = data.frame_count + torch.randint(reference_count, (records,), generator=generator)
    states = tensors["states"].float()[rows, frames]
    side = latents.shape[-1]
    weights = mouth_and_eye_weights(states.flatten(0, 1), side).unflatten(0, (records, count))
    before = first[:, None] - temporal.motion_frames + torch.arange(temporal.motion_frames)
    return Batch(
        latents=latents[rows, frames],
        reference=latents[rows[:, 0], reference],
        motion=latents[rows, before] if in_a_row else None,
        windows=data.features.windows(
            tensors["utterances"], tensors["frames"][rows, frames], config.audio.window
        ),
        boxes=tensors["boxes"][:, 0] if in_a_row else tensors["boxes"],
        weights=weights,
        speed=tensors["speed"][rows, frames],
    )


def box_masks(boxes: Tensor, size: int) -> Tensor:
    """Boxes [N, 4] in 0..1 -> masks [N, 1, size, size]; the edge cells hold the share that is covered."""
    edges = torch.arange(size + 1) / size
    x0, y0, x1, y1 = (side[:, None] for side in boxes.unbind(-1))

    def covered(low: Tensor, high: Tensor) -> Tensor:
        return ((torch.minimum(edges[1:], high) - torch.maximum(edges[:-1], low)) * size).clamp(0, 1)

    return (covered(y0, y1)[:, :, None] * covered(x0, x1)[:, None, :])[:, None]


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
            batch = _as_single_images(batch)
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


def _as_single_images(batch: Batch) -> Batch:
    return replace(
        batch,
        latents=batch.latents.flatten(0, 1)[:, None],
        windows=batch.windows.flatten(0, 1)[:, None],
        boxes=batch.boxes.flatten(0, 1),
        weights=batch.weights.flatten(0, 1)[:, None],
        speed=batch.speed.flatten(0, 1)[:, None],
    )


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


def train_stage(
    networks: EmoNetworks,
    stage: StageConfig,
    images: Dataset,
    clips: Dataset | None,
    weights: Tensor,
    checkpoint: Path,
    settings: LoopSettings,
    seed: int,
) -> None:
    """Train the networks through one stage, from its checkpoint if there is one; they end averaged.

    weights: of the latent channels [C], see `channel_weights`.
    """
    freeze_for(stage, networks)
    if stage.keeps_norms_frozen:
        # torch 2.13 crashes in the backward of a channels-last GroupNorm whose weights are frozen.
        networks.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    else:
        channels_last(networks)
    diffusion = nn.ModuleDict({part: getattr(networks, part) for part in PARTS})
    run = TrainingRun(diffusion, settings, checkpoint, seed)
    loss = StageLoss(networks, stage, weights)
    networks.train()

    def losses(generator: torch.Generator) -> dict[str, Tensor]:
        as_images = clips is None or float(torch.rand((), generator=generator)) < stage.image_share
        data = images if as_images else clips
        records = STAGES["image"].records if as_images else stage.records
        batch = draw_batch(data, records, networks.config, not as_images, generator)  # type: ignore[arg-type]
        return loss(batch, generator)

    run.run(losses)
    run.load_averaged_weights()
    networks.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", choices=list(STAGES), required=True)
    parser.add_argument("--images", type=Path, nargs="+", required=True)
    parser.add_argument("--clips", type=Path, nargs="*", default=[])
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--autoencoder", type=Path, required=True, help="that the records were encoded with")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--start-from", type=Path, help="checkpoint of the stage before")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--decay-share", type=float, default=LoopSettings.decay_share)
    parser.add_argument("--seed", type=int, default=21)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    stage = STAGES[arguments.stage]
    networks = build_networks(avatar_config())
    if arguments.start_from is not None:
        load_parts(networks, arguments.start_from)
    features = VoiceFeatureTable(arguments.features)
    clips = Dataset(arguments.clips, features) if arguments.clips else None
    rate = arguments.learning_rate or stage.learning_rate
    settings = LoopSettings(arguments.steps, rate, decay_share=arguments.decay_share)
    images = Dataset(arguments.images, features)
    weights = channel_weights(load_autoencoder(arguments.autoencoder))
    train_stage(networks, stage, images, clips, weights, arguments.checkpoint, settings, arguments.seed)


def load_parts(networks: EmoNetworks, checkpoint: Path) -> None:
    """Put a stage checkpoint's averaged weights into the networks; what it does not know stays as it is."""
    averaged = torch.load(checkpoint, weights_only=True)["averaged"]
    parts = nn.ModuleDict({part: getattr(networks, part) for part in PARTS})
    parts.load_state_dict({**parts.state_dict(), **averaged})


if __name__ == "__main__":
    main()
