"""Rolled batches: the step that the networks take first, and the loss where it arrives."""

from typing import Any

import pytest
import torch

from comfyui_emo.models.avatar import avatar_config
from comfyui_emo.steps.schedulers import make_scheduler, signal_levels
from comfyui_emo.training.rollout import (
    noise_scales,
    rolled_timesteps,
    rolled_weight,
    step_on,
    velocity_to,
)

DIFFUSION = avatar_config().diffusion
LEVELS = signal_levels(DIFFUSION)


def level(timestep: int) -> torch.Tensor:
    return LEVELS[timestep].view(1, 1, 1, 1, 1)


def test_a_step_is_the_samplers():
    scheduler: Any = make_scheduler("ddim", DIFFUSION)
    scheduler.set_timesteps(8)
    generator = torch.Generator().manual_seed(0)
    noisy, velocity = (torch.randn(1, 3, 4, 2, 2, generator=generator) for _ in range(2))
    now, then = (int(t) for t in scheduler.timesteps[2:4])
    expected = scheduler.step(velocity, now, noisy).prev_sample
    torch.testing.assert_close(step_on(noisy, velocity, level(now), level(then)), expected)


@pytest.mark.parametrize("noise_scale", [0.25, 1.0])
def test_with_the_true_velocity_a_step_arrives_at_the_truth_and_has_no_error_left(noise_scale):
    generator = torch.Generator().manual_seed(1)
    truth, noise = (torch.randn(1, 3, 4, 2, 2, generator=generator) for _ in range(2))
    now, then = level(800), level(600)
    noisy = now.sqrt() * truth + (1 - now).sqrt() * noise_scale * noise
    arrived = step_on(noisy, velocity_to(truth, noisy, now), now, then)
    clean = then.sqrt() * arrived - (1 - then).sqrt() * velocity_to(truth, arrived, then)
    torch.testing.assert_close(clean, truth, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(arrived, then.sqrt() * truth + (1 - then).sqrt() * noise_scale * noise)


def test_steps_start_where_the_pose_is_seen_and_go_towards_the_truth():
    generator = torch.Generator().manual_seed(2)
    start, end = rolled_timesteps(torch.randint(1000, (5000,), generator=generator), generator)
    assert start.max() <= 850 and start.min() >= 100
    assert end.min() >= 0
    strides = (start - end)[end > 0]
    assert strides.min() >= 60 and strides.max() <= 250


def test_noise_is_scaled_down_to_what_the_sampler_starts_from():
    scales = noise_scales(2000, torch.Generator().manual_seed(3))
    least = avatar_config().defaults.noise_scale
    assert least <= float(scales.min()) < least + 0.01 and float(scales.max()) <= 1
    assert float(scales.mean()) == pytest.approx((1 + least) / 2, abs=0.02)


def test_an_error_of_the_clean_latents_never_counts_more_than_in_the_middle():
    # The velocity's error is that of the clean latents over the spread.
    spreads = (1 - LEVELS[:-1]).sqrt()
    counted = rolled_weight(LEVELS[:-1]) / spreads.square()
    assert float(counted.max()) == pytest.approx(4.0, rel=1e-4)
