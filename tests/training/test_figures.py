"""The arithmetic of the held-out figures, against closed forms."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from comfyui_emo.training.figures import (
    at_seams,
    coarse_psnr_db,
    frame_differences,
    gradient_energy,
    head_velocity,
    lag_correlations,
    mean_where,
    nearest_shift_psnr_db,
    other_clips_correlation,
    peak_lag,
    seam_ratio,
    smoothed,
    weighted_psnr_db,
    yaw_spread,
)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def pictures(count: int, seed: int = 0, size: int = 32) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=20, deadline=None)
@given(lag=st.integers(-5, 5), gain=st.floats(0.1, 3), offset=st.floats(-1, 1))
def test_a_delayed_copy_correlates_fully_at_its_delay_whatever_its_level(
    lag: int, gain: float, offset: float
):
    long = noise(4, 80)
    truth, video = long[:, 10:70], gain * long[:, 10 - lag : 70 - lag] + offset
    correlations = lag_correlations(video, truth, range(-5, 6))
    assert peak_lag(correlations) == lag
    assert correlations[lag] == pytest.approx(1.0, abs=1e-5)


def test_correlation_is_pooled_after_centring_each_clip():
    truth = torch.tensor([[0.0, 1.0, 0.0, 1.0], [0.0, 3.0, 0.0, 3.0]])
    measured = torch.tensor([[5.0, 4.0, 5.0, 4.0], [0.0, 3.0, 0.0, 3.0]])
    # centred: -0.5 * 0.5 * 4 + 1.5 * 1.5 * 4, over the norms' square 4 * (0.25 + 2.25)
    assert lag_correlations(measured, truth, [0])[0] == pytest.approx((9 - 1) / 10)


def test_a_frozen_mouth_correlates_with_nothing():
    assert lag_correlations(torch.full((3, 40), 0.3), noise(3, 40), [0])[0] == 0


def test_other_clips_correlate_only_if_they_are_alike():
    truth = noise(6, 4000)
    assert abs(other_clips_correlation(truth, truth)) < 0.02
    alike = truth[:1].expand(6, 4000)
    assert other_clips_correlation(alike, alike) == pytest.approx(1.0)


def test_smoothing_is_a_moving_mean_of_five():
    assert smoothed(torch.arange(7.0)).tolist() == [2.0, 3.0, 4.0]


def test_yaw_spread_of_a_slow_sine_is_its_effective_value():
    yaw = 0.2 * torch.sin(torch.arange(504) / 500 * 2 * math.pi * 5)
    assert float(yaw_spread(yaw)) == pytest.approx(0.2 / math.sqrt(2), rel=0.01)
    assert yaw_spread(torch.full((2, 20), 0.3)).tolist() == pytest.approx([0.0, 0.0], abs=1e-6)


def test_head_velocity_of_a_steady_turn():
    frames = torch.arange(50.0)
    angles = torch.deg2rad(torch.stack([0.3 * frames, 0.4 * frames, 0 * frames]))
    assert head_velocity(angles) == pytest.approx(0.5, rel=1e-4)


def test_frame_difference_counts_only_where_the_weights_are():
    frames = torch.zeros(3, 3, 8, 8)
    frames[1, :, :4] = 0.5
    frames[2, :, :4], frames[2, :, 4:] = 0.5, 0.25
    upper = torch.zeros(8, 8)
    upper[:4] = 1
    assert frame_differences(frames, upper).tolist() == [0.5, 0.0]
    assert frame_differences(frames, 1 - upper).tolist() == [0.0, 0.25]


def test_seams_lie_between_clips():
    assert at_seams(9, 4).nonzero().view(-1).tolist() == [3, 7]  # between frames 3 and 4, 7 and 8


def test_seam_ratio_compares_a_seam_with_what_is_beside_it():
    seams = at_seams(25, 12)
    differences = torch.linspace(1, 3, 24).repeat(2, 1)  # motion that grows steadily has no seams
    inner = differences.clone()
    inner[:, seams] *= 1.5
    assert seam_ratio(differences[:, :15], seams[:15]) == pytest.approx(1.0, abs=0.02)
    assert seam_ratio(inner[:, :15], seams[:15]) == pytest.approx(1.5, abs=0.03)
    assert seam_ratio(0 * differences, seams) == 1


def test_gradient_energy_of_a_ramp_and_of_twice_its_contrast():
    ramp = torch.linspace(0, 1, 33).expand(1, 3, 33, 33)
    weights = torch.ones(1, 1, 33, 33)
    assert float(gradient_energy(ramp, weights)) == pytest.approx((1 / 32) ** 2, rel=1e-4)
    assert float(gradient_energy(2 * ramp, weights)) == pytest.approx(4 * (1 / 32) ** 2, rel=1e-4)


def test_gradient_energy_falls_with_blur_and_looks_only_where_the_weights_are():
    picture = pictures(2)
    weights = torch.zeros(2, 1, 32, 32)
    weights[..., 8:24, 8:24] = 1
    blurred = torch.nn.functional.avg_pool2d(picture, 3, 1, 1)
    assert (gradient_energy(blurred, weights) < 0.5 * gradient_energy(picture, weights)).all()
    elsewhere = picture.clone()
    elsewhere[..., :6, :] = 0
    torch.testing.assert_close(gradient_energy(elsewhere, weights), gradient_energy(picture, weights))


@pytest.mark.parametrize("deviation", [0.01, 0.1])
def test_psnr_of_noise_is_its_level(deviation: float):
    drawn = pictures(2, size=128)
    weights = torch.ones(2, 1, 128, 128)
    noisy = drawn + deviation * noise(*drawn.shape, seed=1)
    expected = -20 * math.log10(deviation)
    assert weighted_psnr_db(noisy, drawn, weights).tolist() == pytest.approx([expected] * 2, abs=0.1)
    assert weighted_psnr_db(drawn, drawn, weights).tolist() == pytest.approx([99.0] * 2)


def test_psnr_ignores_what_has_no_weight():
    drawn, weights = pictures(1), torch.zeros(1, 1, 32, 32)
    weights[..., :16, :] = 1
    changed = drawn.clone()
    changed[..., 16:, :] = 0
    assert float(weighted_psnr_db(changed, drawn, weights)) == pytest.approx(99.0)


def test_a_shifted_picture_is_found_within_reach_and_not_beyond():
    drawn, weights = pictures(1), torch.zeros(1, 1, 32, 32)
    weights[..., 8:24, 8:24] = 1
    shifted = drawn.roll((2, -1), (2, 3))
    assert float(nearest_shift_psnr_db(shifted, drawn, weights, 2)) == pytest.approx(99.0)
    assert float(nearest_shift_psnr_db(shifted, drawn, weights, 1)) < 15


def test_mean_where_says_when_there_is_nothing_to_average():
    values = torch.tensor([1.0, 2.0, 6.0])
    assert mean_where(values, values > 1) == 4.0
    assert mean_where(values, values > 9) is None


def test_the_coarse_psnr_sees_a_change_of_colour_but_no_checkerboard():
    drawn, weights = torch.full((1, 3, 16, 16), 0.5), torch.ones(1, 1, 16, 16)
    board = (torch.arange(16).view(-1, 1) + torch.arange(16)) % 2 * 0.2 - 0.1
    assert weighted_psnr_db(drawn + board, drawn, weights)[0] == pytest.approx(20)
    assert coarse_psnr_db(drawn + board, drawn, weights, 4)[0] > 90
    assert coarse_psnr_db(drawn + 0.1, drawn, weights, 4)[0] == pytest.approx(20, abs=1e-4)


def test_the_coarse_psnr_leaves_out_what_is_partly_outside():
    drawn, weights = torch.full((1, 3, 16, 16), 0.5), torch.zeros(1, 1, 16, 16)
    weights[..., :9] = 1
    frames = drawn.clone()
    frames[..., 8:] = 1.0
    assert coarse_psnr_db(frames, drawn, weights, 4)[0] > 90
