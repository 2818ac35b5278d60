"""The drawn avatars: what moves in the picture when a state moves, and motion over time."""

import math
from dataclasses import fields

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seeded import seeded

from comfyui_emo.errors import InputError
from comfyui_emo.training.avatars.identity import AvatarIdentity, draw_identities
from comfyui_emo.training.avatars.motion import (
    YAW_LIMIT,
    face_box,
    head_path,
    head_rotation_speed,
    mouth_and_eye_weights,
    states_for_voice,
)
from comfyui_emo.training.avatars.renderer import render
from comfyui_emo.training.avatars.state import STATE, STATE_NAMES, draw_states, neutral_states


def still_states(count: int, **values: float) -> torch.Tensor:
    """States that look straight ahead with a shut mouth, but for the values given."""
    states = torch.zeros(count, len(STATE_NAMES))
    states[:, STATE["scale"]] = 1.1
    for name, value in values.items():
        states[:, STATE[name]] = value
    return states


def with_value(identity: AvatarIdentity, **values: float) -> AvatarIdentity:
    changed = {field.name: getattr(identity, field.name) for field in fields(identity)}
    changed.update({name: torch.full_like(changed[name], value) for name, value in values.items()})
    return AvatarIdentity(**changed)


def centre_of_change(before: torch.Tensor, after: torch.Tensor) -> tuple[float, float]:
    """Mean x and y (-1..1) of the difference of two batches of pictures."""
    change = (before - after).abs().sum(dim=(0, 1))  # [S, S]
    axis = torch.linspace(-1, 1, change.shape[-1])
    return float((change.sum(0) * axis).sum() / change.sum()), float(
        (change.sum(1) * axis).sum() / change.sum()
    )


def test_pictures_are_rgb_in_range_at_every_size():
    identity, states = draw_identities(3, seeded(0)), draw_states(3, seeded(1))
    for size_px in (16, 64, 130):
        pictures = render(identity, states, size_px)
        assert pictures.shape == (3, 3, size_px, size_px)
        assert pictures.min() >= 0 and pictures.max() <= 1 and pictures.isfinite().all()


def test_a_small_picture_looks_like_the_large_one_made_small():
    identity, states = draw_identities(8, seeded(0)), draw_states(8, seeded(1))
    shrunk = torch.nn.functional.avg_pool2d(render(identity, states, 256), 4)
    assert (shrunk - render(identity, states, 64)).abs().mean() < 0.01


def test_identical_seeds_give_identical_pictures_and_others_do_not():
    first, again, other = (
        render(draw_identities(4, seeded(s)), draw_states(4, seeded(s)), 64) for s in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert (first - other).abs().mean() > 0.05


def test_a_batch_gives_the_pictures_of_its_members_alone():
    identity, states = draw_identities(12, seeded(5)), draw_states(12, seeded(6))
    together = render(identity, states, 96)
    alone = torch.cat([render(identity.select([i]), states[i : i + 1], 96) for i in range(12)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_opening_the_mouth_darkens_its_middle_and_leaves_the_upper_face_alone():
    identity = with_value(draw_identities(16, seeded(7)), beard=0.0)
    shut, opened = (render(identity, still_states(16, open=value), 128) for value in (0.0, 0.8))
    mouth = (slice(None), slice(None), slice(85, 89), slice(58, 70))
    assert ((opened - shut)[mouth].mean(dim=(1, 2, 3)) < -0.02).all()
    upper_face = slice(0, 70)
    assert torch.equal(opened[:, :, upper_face, 40:88], shut[:, :, upper_face, 40:88])


def test_opening_grows_the_mouth_steadily():
    identity = draw_identities(1, seeded(8))
    shut = render(identity, still_states(1), 128)
    changes = [
        float((render(identity, still_states(1, open=value), 128) - shut).abs().mean())
        for value in (0.2, 0.4, 0.6, 0.8, 1.0)
    ]
    assert changes == sorted(changes) and changes[-1] > 2 * changes[0]


@pytest.mark.parametrize("name", ["wide", "round", "teeth"])
def test_the_shape_of_the_mouth_changes_only_the_mouth(name: str):
    identity = draw_identities(8, seeded(9))
    base, shaped = (render(identity, still_states(8, open=0.3, **{name: value}), 128) for value in (0.0, 1.0))
    change = (base - shaped).abs().amax(dim=(0, 1))
    assert change[70:100, 35:93].max() > 0.3
    change[70:105, 30:98] = 0
    assert change.max() == 0


def test_blinking_changes_only_the_eyes():
    identity = with_value(draw_identities(8, seeded(10)), glasses=0.0)
    wide_awake, asleep = (render(identity, still_states(8, blink=value), 128) for value in (0.0, 1.0))
    change = (wide_awake - asleep).abs().amax(dim=(0, 1))
    assert change[44:70].max() > 0.3
    change[44:70, 30:98] = 0
    assert change.max() == 0


@pytest.mark.parametrize(("name", "axis"), [("yaw", 0), ("shift_x", 0), ("pitch", 1), ("shift_y", 1)])
def test_pose_moves_the_mouth_in_its_direction(name: str, axis: int):
    identity = draw_identities(8, seeded(11))
    positions = []
    for value in (-0.15, 0.0, 0.15):
        shut, opened = (render(identity, still_states(8, open=o, **{name: value}), 128) for o in (0.0, 0.5))
        positions.append(centre_of_change(shut, opened)[axis])
    assert positions[0] < positions[1] - 0.03 and positions[1] < positions[2] - 0.03


def test_roll_turns_the_mouth_clockwise_to_the_left():
    identity = draw_identities(8, seeded(12))
    shut, opened = (render(identity, still_states(8, open=o, roll=0.3), 128) for o in (0.0, 0.5))
    assert centre_of_change(shut, opened)[0] < -0.05


def test_background_and_clothes_of_another_leave_the_face_as_it_was():
    identity, other = draw_identities(8, seeded(13)), draw_identities(8, seeded(14))
    states = neutral_states(8, seeded(15))
    own = render(identity, states, 128)
    dressed = render(identity.with_background_and_clothes_of(other), states, 128)
    face = (slice(None), slice(None), slice(45, 85), slice(45, 83))
    assert torch.equal(own[face], dressed[face])
    assert (own - dressed)[:, :, :8].abs().mean() > 0.05 and (own - dressed)[:, :, -8:].abs().mean() > 0.05


def test_one_background_can_be_shared_by_all():
    identity = draw_identities(5, seeded(16))
    shared = identity.with_background_and_clothes_of(identity.select([2]))
    assert torch.equal(shared.cloth, identity.cloth[2:3].expand(5, 3))
    assert torch.equal(shared.skin, identity.skin) and len(shared) == 5


def test_identities_repeat_over_frames():
    repeated = draw_identities(2, seeded(17)).repeat_interleave(3)
    assert len(repeated) == 6
    assert torch.equal(repeated.skin[0], repeated.skin[2]) and not torch.equal(
        repeated.skin[2], repeated.skin[3]
    )


def test_states_that_do_not_fit_the_avatars_are_refused():
    with pytest.raises(InputError, match=r"states of shape \[3, 14\] for 2 avatars"):
        render(draw_identities(2, seeded(0)), still_states(3))
    with pytest.raises(InputError, match="size_px 4"):
        render(draw_identities(2, seeded(0)), still_states(2), 4)


def test_portraits_are_neutral():
    states = neutral_states(50, seeded(18))
    for name in ("open", "round", "teeth", "blink"):
        assert (states[:, STATE[name]] == 0).all()
    assert states[:, STATE["yaw"]].std() < draw_states(50, seeded(18))[:, STATE["yaw"]].std()


@settings(max_examples=20, deadline=None)
@given(speed=st.floats(0.05, 2.0), seed=st.integers(0, 10_000))
def test_a_long_head_path_has_the_speed_asked_for_and_stays_in_view(speed: float, seed: int):
    states = still_states(3000)
    states[:, STATE["yaw"] :] = head_path(3000, speed, seeded(seed))
    # A slow head turns a few times only in two minutes, so their mean still varies.
    assert float(head_rotation_speed(states).mean()) == pytest.approx(speed, rel=0.3)
    assert states[:, STATE["yaw"]].abs().max() <= YAW_LIMIT
    assert states[:, STATE["shift_x"] : STATE["scale"]].abs().max() < 0.35


def test_faster_motion_is_wider_and_quicker_and_still_smooth():
    calm, lively = (head_path(3000, speed, seeded(19))[:, 0] for speed in (0.1, 1.0))
    width_ratio = float(lively.std() / calm.std())
    rate_ratio = float((lively.diff().std() / lively.std()) / (calm.diff().std() / calm.std()))
    assert width_ratio == pytest.approx(math.sqrt(10), rel=0.4)
    assert rate_ratio == pytest.approx(math.sqrt(10), rel=0.4)
    assert lively.diff().diff().abs().max() < 0.3 * lively.diff().abs().max()


def test_speed_zero_keeps_the_head_still():
    path = head_path(50, 0.0, seeded(20))
    assert torch.equal(path, path[:1].expand(50, 6))


def test_rotation_speed_of_a_steady_turn():
    states = still_states(40)
    degrees = torch.arange(40.0)
    states[:, STATE["yaw"]] = torch.deg2rad(degrees * 0.3)
    states[:, STATE["pitch"]] = torch.deg2rad(degrees * 0.4)
    torch.testing.assert_close(head_rotation_speed(states), torch.full((40,), 0.5))
    assert torch.equal(head_rotation_speed(states[:1]), torch.zeros(1))


@pytest.mark.parametrize(("frame_count", "speed"), [(0, 0.5), (10, -1.0), (10, 9.0), (10, float("nan"))])
def test_impossible_head_paths_are_refused(frame_count: int, speed: float):
    with pytest.raises(InputError):
        head_path(frame_count, speed, seeded(0))


def test_states_for_a_voice_carry_the_mouth_and_nod_with_the_energy():
    curves, energy = torch.rand(500, 4, generator=seeded(21)), torch.zeros(500)
    energy[100:200] = 0.3
    states = states_for_voice(curves, energy, 0.4, seeded(22))
    silent = states_for_voice(curves, torch.full((500,), 0.1), 0.4, seeded(22))
    assert torch.equal(states[:, :4], curves)
    raised = (states - silent)[:, STATE["brow"]]
    assert raised[120:180].mean() > raised[250:450].mean() + 0.2
    nod = (states - silent)[:, STATE["pitch"]]
    assert nod[120:180].mean() > nod[250:450].mean()
    assert (states[:, STATE["blink"]] == 1).sum() >= 4
    assert states[:, STATE["gaze_x"]].diff().abs().max() < 0.1
    assert float(head_rotation_speed(states).mean()) == pytest.approx(0.4, rel=0.5)


def test_states_for_a_voice_work_for_a_single_frame_and_refuse_curves_that_differ():
    assert states_for_voice(torch.zeros(1, 4), torch.zeros(1), 0.4, seeded(0)).shape == (1, 14)
    with pytest.raises(InputError, match="energy of shape"):
        states_for_voice(torch.zeros(5, 4), torch.zeros(6), 0.4, seeded(0))


def test_face_box_contains_the_face_and_little_more():
    identity = draw_identities(12, seeded(23))
    bare = with_value(identity, bald=1.0, glasses=0.0, beard=0.0, ear_size=1e-3)
    states = draw_states(12, seeded(24))
    visible = render(bare, states, 128)
    # whatever of the picture changes with the colour of the skin is skin
    darker = render(with_value(bare, skin=0.02), states, 128)
    is_skin = (visible - darker).abs().amax(1) > 0.02
    for frame in range(12):
        x0, y0, x1, y1 = (round(edge * 128) for edge in face_box(states[frame : frame + 1]))
        above_chin = is_skin[frame, : min(y1, 85)]
        rows, columns = above_chin.any(1).nonzero(), above_chin.any(0).nonzero()
        assert rows.min() >= y0 and columns.min() >= x0 and columns.max() < x1
        assert rows.min() - y0 < 16 and (x1 - x0) - (columns.max() - columns.min()) < 30


def test_face_box_of_a_clip_is_the_union_over_its_frames():
    states = draw_states(6, seeded(25))
    boxes = torch.tensor([face_box(states[i : i + 1]) for i in range(6)])
    union = (*boxes[:, :2].amin(0).tolist(), *boxes[:, 2:].amax(0).tolist())
    assert face_box(states) == pytest.approx(union)


def test_weights_lie_on_mouth_and_eyes_wherever_the_head_is():
    identity, poses = draw_identities(24, seeded(26)), draw_states(24, seeded(27))
    weights = mouth_and_eye_weights(poses, 128)
    for name, values, least in (("open", (0.0, 1.0), 3.5), ("blink", (0.0, 1.0), 2.5)):
        pictures = []
        for value in values:
            states = poses.clone()
            states[:, STATE[name]] = value
            pictures.append(render(identity, states, 128))
        change = (pictures[0] - pictures[1]).abs().sum(1, keepdim=True)
        change[:, :, :30] = 0
        where = (weights * change).sum((1, 2, 3)) / change.sum((1, 2, 3)).clamp(min=1e-6)
        assert where.mean() > least


def test_weights_on_latents_are_those_on_pixels():
    states = draw_states(4, seeded(28))
    fine, coarse = mouth_and_eye_weights(states, 128), mouth_and_eye_weights(states, 16)
    assert coarse.shape == (4, 1, 16, 16)
    pooled = torch.nn.functional.avg_pool2d(fine, 8)
    assert (pooled - coarse).abs().mean() < 0.03 * fine.mean() and fine.min() >= 1 and fine.max() <= 11
