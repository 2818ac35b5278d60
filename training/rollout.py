"""Latents as the sampler sees them: reached by a step of its own, and not from the truth alone.

Training shows a network true latents with noise on them. When it samples, what lies under the noise is its
own earlier prediction, with its own errors, and a small network takes them for the truth. So a share of the
batches is rolled on first: one step of DDIM from truth with noise, then the loss where that step arrives.
"""

import torch
from torch import Tensor

# Timesteps of 1000 between which a rolled batch starts. Earlier ones hide the pose of the truth, which the
# network would then learn to average over; later ones have nothing left to decide.
_EARLIEST, _LATEST = 850, 100
_STRIDES = (60, 250)  # timesteps that a step may take; 8 steps take 125
_LEAST_NOISE = 0.18  # noise is scaled by this to 1, as the sampler's `noise_scale` does
_FULL_WEIGHT_SPREAD = 0.5  # the loss counts less where less noise is left than this


def shown_timesteps(timesteps: Tensor) -> Tensor:
    """Timesteps [B] moved to where the pose is seen and something is left to decide."""
    return timesteps.clamp(_LATEST, _EARLIEST)


def rolled_timesteps(timesteps: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Timesteps [B] -> those that the step starts from and those where it arrives, each [B]."""
    start = shown_timesteps(timesteps)
    low, high = _STRIDES
    stride = torch.randint(low, high + 1, timesteps.shape, generator=generator)
    return start, (start - stride).clamp(min=0)


def noise_scales(count: int, generator: torch.Generator) -> Tensor:
    """What the noise of rolled clips is scaled by [B, 1, 1, 1, 1]."""
    scales = _LEAST_NOISE + (1 - _LEAST_NOISE) * torch.rand(count, generator=generator)
    return scales.view(-1, 1, 1, 1, 1)


def step_on(noisy: Tensor, velocity: Tensor, level: Tensor, next_level: Tensor) -> Tensor:
    """A step of DDIM with the predicted velocity, between two cumulated alphas [B, 1, 1, 1, 1]."""
    clean = level.sqrt() * noisy - (1 - level).sqrt() * velocity
    noise = (1 - level).sqrt() * noisy + level.sqrt() * velocity
    return next_level.sqrt() * clean + (1 - next_level).sqrt() * noise


def velocity_to(latents: Tensor, noisy: Tensor, level: Tensor) -> Tensor:
    """The velocity that leads from noisy latents to clean ones, whatever noise that takes."""
    return (level.sqrt() * noisy - latents) / (1 - level).sqrt()


def rolled_weight(level: Tensor) -> Tensor:
    """What the squared error of the velocity counts: where little noise is left, an error of the clean
    latents is a large one of the velocity."""
    return ((1 - level).sqrt() / _FULL_WEIGHT_SPREAD).square().clamp(max=1)
