"""More noise where the pose is decided."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from comfyui_emo.models.avatar import avatar_config
from comfyui_emo.models.conditions import ClipConditions
from comfyui_emo.steps.pose_noise import scaled_noise, slow_part
from comfyui_emo.steps.sampling import denoise_clip
from comfyui_emo.steps.sampling_settings import SamplingSettings
from comfyui_emo.steps.schedulers import SCHEDULER_NAMES, make_scheduler, signal_levels


def noise(frame_count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(1, frame_count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))


@given(st.integers(1, 64))
def test_the_slow_part_is_what_stands_still_or_goes_straight_on(frame_count):
    start, pace = noise(1, seed=1), noise(1, seed=2)
    straight = start + torch.arange(frame_count).view(1, -1, 1, 1, 1) * pace
    torch.testing.assert_close(slow_part(straight), straight, atol=1e-3, rtol=1e-5)
    rest = noise(frame_count) - slow_part(noise(frame_count))
    torch.testing.assert_close(slow_part(rest), torch.zeros_like(rest), atol=1e-5, rtol=0)


def test_only_the_slow_part_starts_from_more():
    drawn = noise(12)
    scaled = scaled_noise(drawn, SamplingSettings(8, noise_scale=0.25, pose_noise_scale=1.5))
    torch.testing.assert_close(slow_part(scaled), 1.5 * slow_part(drawn))
    torch.testing.assert_close(scaled - slow_part(scaled), 0.25 * (drawn - slow_part(drawn)))
    assert torch.equal(scaled_noise(drawn, SamplingSettings(8, noise_scale=0.25)), 0.25 * drawn)


@pytest.mark.parametrize("name", SCHEDULER_NAMES)
def test_after_the_first_steps_all_noise_has_one_scale(name):
    """What the Backbone is given at each step, when it knows the clip: signal * clip + spread * noise."""
    clip, drawn, scales = noise(6, seed=3), noise(6), []
    levels = signal_levels(avatar_config().diffusion)

    def backbone(x, t, _conditions):
        signal, spread = levels[int(t)].sqrt(), (1 - levels[int(t)]).sqrt()
        now = (x - signal * clip) / spread
        ratios = [(part(now) * part(drawn)).sum() / part(drawn).square().sum() for part in (slow_part, fast)]
        scales.append([float(ratio) for ratio in ratios])
        return signal * now - spread * clip

    def fast(given):
        return given - slow_part(given)

    scheduler = make_scheduler(name, avatar_config().diffusion)
    scheduler.set_timesteps(6)  # type: ignore[attr-defined]
    settings = SamplingSettings(6, name, noise_scale=0.25, pose_noise_scale=1.0, pose_noise_share=0.5)
    start = scaled_noise(drawn, settings)
    result = denoise_clip(backbone, start, ClipConditions((), None), scheduler, settings)  # type: ignore[arg-type]
    torch.testing.assert_close(result, clip, atol=0.02, rtol=0)
    assert [slow for slow, _ in scales] == pytest.approx([1.0] * 3 + [0.25] * 3, abs=0.02)
    assert [rest for _, rest in scales] == pytest.approx([0.25] * 6, abs=0.02)


def test_noise_that_never_comes_down_is_left_alone():
    drawn = noise(3)
    scheduler = make_scheduler("ddim", avatar_config().diffusion)
    scheduler.set_timesteps(2)  # type: ignore[attr-defined]

    def still(x, t, _conditions):
        return torch.zeros_like(x)

    def result(**chosen):
        settings = SamplingSettings(2, **chosen)
        return denoise_clip(still, drawn, ClipConditions((), None), scheduler, settings)  # type: ignore[arg-type]

    assert torch.equal(result(pose_noise_scale=1.0, pose_noise_share=1.0, noise_scale=0.5), result())
