"""Head speeds: constant or along a curve, frame by frame, and what is refused."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from comfyui_emo.errors import InputError
from comfyui_emo.steps.head_motion import MAX_POINTS, MAX_SPEED, HeadMotion, SpeedCurve, parse_curve

CURVE = SpeedCurve(((1.0, 0.2), (2.0, 1.0), (4.0, 0.0)))

curves = st.dictionaries(
    st.integers(0, 3_600_000).map(lambda ms: ms / 1000), st.floats(0, MAX_SPEED), min_size=1, max_size=8
).map(lambda points: SpeedCurve(tuple(sorted(points.items()))))


def test_a_constant_speed_is_the_same_in_every_frame():
    assert torch.equal(HeadMotion(0.5).speeds(96, 12, 25), torch.full((1, 12), 0.5))


def test_a_curve_is_straight_between_points_and_level_outside():
    speeds = HeadMotion(CURVE).speeds(0, 6, Fraction(1))
    assert speeds.shape == (1, 6) and speeds.dtype == torch.float32
    torch.testing.assert_close(speeds[0], torch.tensor([0.2, 0.2, 1.0, 0.5, 0.0, 0.0]))
    halves = HeadMotion(CURVE).speeds(2, 3, Fraction(2))  # 1.0, 1.5 and 2.0 s
    torch.testing.assert_close(halves[0], torch.tensor([0.2, 0.6, 1.0]))


def test_the_room_to_move_suits_the_highest_speed():
    assert HeadMotion(CURVE).highest_speed == 1.0
    assert HeadMotion(CURVE).movement_margin == HeadMotion(1.0).movement_margin
    assert HeadMotion(CURVE, margin=0.4).movement_margin == 0.4


@given(curves)
def test_a_curve_passes_through_its_points(curve):
    times, speeds = np.array(curve.points).T
    assert np.array_equal(curve.speeds_at(times), speeds)


@given(curves, st.floats(0, 4000))
def test_a_curve_stays_between_the_neighbouring_points(curve, time_s):
    before = [speed for at, speed in curve.points if at <= time_s][-1:]
    after = [speed for at, speed in curve.points if at >= time_s][:1]
    bounds = before + after
    (speed,) = curve.speeds_at(np.array([time_s]))
    assert min(bounds) - 1e-9 <= speed <= max(bounds) + 1e-9


@given(curves, st.floats(0, 1))
def test_a_curve_is_linear_in_time(curve, share):
    for (start, slow), (end, fast) in zip(curve.points, curve.points[1:], strict=False):
        (speed,) = curve.speeds_at(np.array([start + share * (end - start)]))
        exact = Fraction(slow) + Fraction(share) * (Fraction(fast) - Fraction(slow))
        assert abs(Fraction(float(speed)) - exact) < Fraction(1, 10**6)


@given(curves, st.integers(1, 20), st.integers(1, 4), st.sampled_from([Fraction(25), Fraction(30000, 1001)]))
def test_clips_together_have_the_speeds_of_the_whole_video(curve, count, clips, fps):
    motion = HeadMotion(curve)
    parts = [motion.speeds(clip * count, count, fps) for clip in range(clips)]
    assert torch.equal(torch.cat(parts, dim=1), motion.speeds(0, count * clips, fps))


@given(curves)
def test_a_curve_is_read_back_as_it_was_written(curve):
    assert parse_curve(json.dumps(curve.points)) == curve


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "JSON list of points"),
        ("fast", "JSON list of points"),
        ("{}", "a speed curve of 0 points"),
        ("[]", "a speed curve of 0 points"),
        ("3", "JSON list of points"),
        ("[[0]]", "JSON list of points"),
        ("[[0, 1, 2]]", "JSON list of points"),
        ('[[0, "1"]]', "JSON list of points"),
        ("[[0, true]]", "JSON list of points"),
        ("[[1, 0.5], [1, 0.6]]", "1 s after one at 1 s"),
        ("[[-1, 0.5]]", "times of 0 s or more"),
        ("[[Infinity, 0.5]]", "times of 0 s or more"),
        ("[[0, NaN]]", "head speed nan"),
        ("[[0, 4.1]]", "head speed 4.1"),
        ("[[0, -0.1]]", "head speed -0.1"),
        (json.dumps([[time_s, 0] for time_s in range(MAX_POINTS + 1)]), f"1 to {MAX_POINTS} points"),
    ],
)
def test_what_is_no_curve_is_refused(text, said):
    with pytest.raises(InputError, match=said):
        parse_curve(text)


@pytest.mark.parametrize("speed", [-0.1, MAX_SPEED + 0.1, math.nan])
def test_a_speed_out_of_range_is_refused(speed):
    with pytest.raises(InputError, match="speech 0.1 to 1.0, singing 1.0 to 1.3"):
        HeadMotion(speed)


def test_a_margin_out_of_range_is_refused():
    with pytest.raises(InputError, match="movement margin -1"):
        HeadMotion(0.5, margin=-1)
