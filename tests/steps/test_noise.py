"""Noise over the frames of successive clips."""

import math

import pytest
import torch

from comfyui_emo.steps.noise import FrameNoise, noise_kernel

SHAPE = (2, 3, 3)


def draw(
    correlation_frames: float, clips: list[int], seed: int = 3, shape: tuple[int, int, int] = SHAPE
) -> torch.Tensor:
    noise = FrameNoise(correlation_frames, shape, seed)
    return torch.cat([noise.next(count) for count in clips], dim=1)


def test_noise_does_not_depend_on_the_clip_length():
    torch.testing.assert_close(draw(4, [12, 12]), draw(4, [5, 7, 2, 10]))


def test_the_same_seed_gives_the_same_noise_and_another_another():
    assert torch.equal(draw(4, [12], seed=1), draw(4, [12], seed=1))
    assert not torch.equal(draw(4, [12], seed=1), draw(4, [12], seed=2))


@pytest.mark.parametrize("correlation_frames", [0.0, 2.0, 5.0])
def test_every_frame_stays_standard_normal(correlation_frames):
    frames = draw(correlation_frames, [6], shape=(8, 48, 48))[0].flatten(1)
    assert frames.mean(1).abs().max() < 0.05
    assert (frames.std(1) - 1).abs().max() < 0.05


@pytest.mark.parametrize("distance", [1, 4, 10])
def test_frames_are_alike_as_a_gaussian_says(distance):
    sigma = 5.0
    frames = draw(sigma, [16, 16], shape=(8, 48, 48))[0].flatten(1)
    alike = float((frames[8] * frames[8 + distance]).mean())
    assert alike == pytest.approx(math.exp(-(distance**2) / (4 * sigma**2)), abs=0.03)


def test_without_correlation_noise_is_white():
    assert noise_kernel(0.0).tolist() == [1.0]
    frames = draw(0.0, [4], shape=(8, 48, 48))[0].flatten(1)
    assert abs(float((frames[0] * frames[1]).mean())) < 0.03
