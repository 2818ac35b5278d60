"""More noise where the pose is decided: the slow part of a clip's noise, in the first steps.

A model that starts from scaled-down noise keeps to what is likeliest: clear faces, and heads that hardly
move. What a head does within a clip (where it is, where it goes) is slow, and decided in the first steps;
what breaks faces and blurs the mouth is the noise that changes within a clip, and in the later steps. So only
the mean over a clip's frames and their trend start from more noise, and come down to the rest after the first
steps.
"""

from typing import Any

import torch
from torch import Tensor

from .sampling_settings import SamplingSettings
from .schedulers import signal_after


def slow_part(noise: Tensor) -> Tensor:
    """The mean over the frames and their straight trend, of noise [1, F, C, h, w]; of the same shape."""
    frame_count = noise.shape[1]
    mean = noise.mean(dim=1, keepdim=True)
    ages = torch.arange(frame_count, device=noise.device, dtype=noise.dtype) - (frame_count - 1) / 2
    trend = (ages / ages.norm().clamp(min=0.5)).view(1, -1, 1, 1, 1)  # one frame has none
    return mean + trend * (trend * noise).sum(dim=1, keepdim=True)


def scaled_noise(noise: Tensor, settings: SamplingSettings) -> Tensor:
    """Standard noise [1, F, C, h, w] -> what a clip starts from."""
    scaled = settings.noise_scale * noise
    if settings.pose_noise_scale is None:
        return scaled
    return scaled + (settings.pose_noise_scale - settings.noise_scale) * slow_part(noise)


def bring_pose_noise_down(
    x: Tensor, clean: Tensor, scheduler: Any, step: int, settings: SamplingSettings
) -> Tensor:
    """A sample between two steps whose noise's slow part gets the scale of the rest.

    Args:
        x: the sample after `step` steps, fewer than all [1, F, C, h, w].
        clean: its clean latents, as predicted.
        scheduler: which made it; one that remembers the sample before, to correct it, forgets the noise, too.
        settings: with a pose noise scale.
    """
    kept = settings.noise_scale / settings.pose_noise_scale  # type: ignore[operator]

    def calm(sample: Tensor, steps_done: int) -> Tensor:
        return sample - (1 - kept) * slow_part(sample - signal_after(scheduler, steps_done) * clean)

    if getattr(scheduler, "last_sample", None) is not None:
        scheduler.last_sample = calm(scheduler.last_sample, step - 1)
    return calm(x, step)
