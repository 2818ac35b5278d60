"""Avatars over time at 25 fps: head motion of a given speed, faces that go with a voice, and face regions."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import InputError
from .canvas import pixel_centres
from .head_pose import HeadPose
from .state import MEAN_SCALE, STATE, STATE_NAMES

FPS = 25
YAW_LIMIT = 0.5  # radians; yaw is bent smoothly to stay within
FASTEST_DEGREES_PER_FRAME = 4.0  # natural everyday motion is 0.1 to 1.2
BLINK_CURVE = (0.5, 1.0, 1.0, 0.6, 0.25)  # a blink, frame by frame
MEAN_BLINK_INTERVAL_FRAMES = 50

_POSE = slice(STATE["yaw"], STATE["scale"] + 1)  # yaw, pitch, roll, shift_x, shift_y, scale
_ANGLES = slice(STATE["yaw"], STATE["roll"] + 1)
_PROPORTIONS = torch.tensor([1.0, 0.35, 0.30, 0.15, 0.10, 0.08])  # of the pose's movements, yaw = 1
_RESTING_SPREAD = torch.tensor([0.07, 0.04, 0.02, 0.03, 0.02, 0.025])  # of the pose a track moves around
_BAND_HZ = (0.12, 0.45)  # of head motion at _BAND_SPEED; the band widens with the root of the speed
_BAND_SPEED = 0.4  # degrees per frame
_GAZE_BAND_HZ = (0.05, 0.25)
_LONG_TRACK_FRAMES = 1500  # speed is set over at least this long, so that short tracks vary as people do
_SPEED_WINDOW_FRAMES = 6  # on either side


def _band_noise(frame_count: int, columns: int, band_hz: tuple[float, float], rng: torch.Generator) -> Tensor:
    """Gaussian noise [frame_count, columns] of about unit deviation within a band of frequencies."""
    # twice as long as needed: the period of the discrete spectrum is then never seen
    period = 2 * frame_count
    frequencies = torch.fft.rfftfreq(period, 1 / FPS)
    weight = ((frequencies >= band_hz[0]) & (frequencies <= band_hz[1])).float()
    spectrum = torch.fft.rfft(torch.randn(period, columns, generator=rng), dim=0)
    noise = torch.fft.irfft(spectrum * weight[:, None], period, dim=0)
    return noise[:frame_count] / (2 * weight.sum() / period).sqrt()


def _bend_yaw(pose: Tensor) -> Tensor:
    bent = pose.clone()
    bent[:, 0] = YAW_LIMIT * torch.tanh(pose[:, 0] / YAW_LIMIT)
    return bent


def _degrees_per_frame(angles: Tensor) -> Tensor:
    """Norm of the rotation rate [T] of yaw, pitch, roll [T, 3] in radians, by central differences."""
    if len(angles) < 2:
        return angles.new_zeros(len(angles))
    (rate,) = torch.gradient(angles, dim=0)
    return rate.norm(dim=1) * (180 / math.pi)


def head_path(frame_count: int, speed_degrees_per_frame: float, generator: torch.Generator) -> Tensor:
    """A slow, smooth head motion [T, 6]: yaw, pitch, roll, shift_x, shift_y, scale.

    Its mean head rotation speed is the one asked for, exactly so over a minute and on average over short
    tracks. Amplitude and frequency both grow with the root of the speed.

    Args:
        frame_count: length T at 25 fps.
        speed_degrees_per_frame: 0 (still) to 4; natural are 0.1 to 1.2.
        generator: the source of chance.

    Raises:
        InputError: the length or the speed is out of range.
    """
    if frame_count < 1:
        raise InputError(got=f"frame_count {frame_count}", allowed="1 or more", do="ask for more frames")
    if not 0 <= speed_degrees_per_frame <= FASTEST_DEGREES_PER_FRAME:
        raise InputError(
            got=f"speed {speed_degrees_per_frame} degrees per frame",
            allowed=f"0 to {FASTEST_DEGREES_PER_FRAME:g}",
            do="choose a speed in this range (calm 0.2, lively 1)",
        )
    rest = torch.randn(6, generator=generator) * _RESTING_SPREAD
    rest[5] += MEAN_SCALE
    faster = math.sqrt(speed_degrees_per_frame / _BAND_SPEED)
    if faster == 0:
        return _bend_yaw(rest.expand(frame_count, 6))
    band_hz = (_BAND_HZ[0] * faster, _BAND_HZ[1] * faster)
    # a slow track needs a longer stretch to hold as many movements
    length = max(frame_count, round(_LONG_TRACK_FRAMES / min(1.0, faster)))
    movement = _band_noise(length, 6, band_hz, generator) * _PROPORTIONS
    amplitude = _amplitude_for(rest, movement, speed_degrees_per_frame)
    first = int(torch.randint(length - frame_count + 1, (), generator=generator))
    return _bend_yaw(rest + amplitude * movement[first : first + frame_count])


def _amplitude_for(rest: Tensor, movement: Tensor, speed: float) -> float:
    """The factor on `movement` that gives the mean speed; a few steps suffice, bending yaw changes little."""
    amplitude = 0.1
    for _ in range(8):
        pose = _bend_yaw(rest + amplitude * movement)
        amplitude *= speed / float(_degrees_per_frame(pose[:, :3]).mean())
    return amplitude


def head_rotation_speed(states: Tensor) -> Tensor:
    """Head rotation speed [T] of states [T, 14], in degrees per frame, averaged over 6 frames either side."""
    speed = _degrees_per_frame(states[:, _ANGLES])
    padded = F.pad(speed.view(1, 1, -1), (_SPEED_WINDOW_FRAMES, _SPEED_WINDOW_FRAMES), mode="replicate")
    return F.avg_pool1d(padded, 2 * _SPEED_WINDOW_FRAMES + 1, 1).view(-1)


def _smooth(curve: Tensor, deviation_frames: float) -> Tensor:
    """A curve [T] under a Gaussian of the given deviation; the ends are held."""
    reach = math.ceil(3 * deviation_frames)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / deviation_frames) ** 2)
    padded = F.pad(curve.view(1, 1, -1), (reach, reach), mode="replicate")
    return F.conv1d(padded, (kernel / kernel.sum()).view(1, 1, -1)).view(-1)


def _blinks(frame_count: int, generator: torch.Generator) -> Tensor:
    """Blink curve [T]: blinks at random times, two seconds apart on average."""
    blink = torch.zeros(frame_count + len(BLINK_CURVE))
    curve = torch.tensor(BLINK_CURVE)
    start = 0
    while True:
        wait = torch.empty(()).exponential_(1 / MEAN_BLINK_INTERVAL_FRAMES, generator=generator)
        start += int(wait) + len(BLINK_CURVE)
        if start >= frame_count:
            return blink[:frame_count]
        blink[start : start + len(BLINK_CURVE)] = curve


def states_for_voice(
    mouth_curves: Tensor, energy: Tensor, speed_degrees_per_frame: float, generator: torch.Generator
) -> Tensor:
    """States [T, 14] of an avatar that speaks.

    Args:
        mouth_curves: [T, 4], open, wide, round, teeth at 25 fps, each in 0..1.
        energy: [T], loudness (RMS) of the voice around each frame; only its relative course matters.
        speed_degrees_per_frame: mean head rotation speed, see `head_path`; the nod that goes with the voice
            comes on top and is small.
        generator: the source of chance.

    Raises:
        InputError: the curves do not fit each other, or the speed is out of range.
    """
    frame_count = len(mouth_curves)
    if mouth_curves.shape != (frame_count, 4) or energy.shape != (frame_count,):
        raise InputError(
            got=f"mouth curves of shape {list(mouth_curves.shape)}, energy of shape {list(energy.shape)}",
            allowed="[T, 4] and [T] with the same T",
            do="give open, wide, round and teeth, and one energy, for every frame",
        )
    states = torch.zeros(frame_count, len(STATE_NAMES))
    states[:, :4] = mouth_curves.clamp(0, 1)
    states[:, _POSE] = head_path(frame_count, speed_degrees_per_frame, generator)
    stress = (energy / (energy.mean() + 1e-4) - 1).clamp(-1, 1.5)
    nod = 0.015 * min(1.0, math.sqrt(speed_degrees_per_frame / _BAND_SPEED))  # radians
    states[:, STATE["pitch"]] += nod * _smooth(stress, deviation_frames=5)
    resting_brow = 0.15 * float(torch.randn((), generator=generator))
    states[:, STATE["brow"]] = (0.36 * _smooth(stress, deviation_frames=2)).clamp(-0.5, 0.9) + resting_brow
    states[:, STATE["blink"]] = _blinks(frame_count, generator)
    gaze = _band_noise(max(frame_count, _LONG_TRACK_FRAMES), 2, _GAZE_BAND_HZ, generator)[:frame_count]
    states[:, STATE["gaze_x"]] = 0.25 * gaze[:, 0]
    states[:, STATE["gaze_y"]] = 0.15 * gaze[:, 1]
    return states


def face_box(states: Tensor) -> tuple[float, float, float, float]:
    """The box (x0, y0, x1, y1) that holds the face in all frames of states [T, 14].

    Fractions of the picture, 0..1, y down. The face is forehead to chin without hair and ears, of any avatar.
    """
    pose = HeadPose.of(states)
    # head units: half-width 0.55, from 0.64 above the middle to 0.74 below it with the jaw dropped
    middle_x, middle_y = pose.on_canvas(torch.zeros_like(pose.scale), torch.full_like(pose.scale, 0.05))
    reach_x = pose.scale * torch.hypot(0.55 * pose.cos_roll, 0.69 * pose.sin_roll)
    reach_y = pose.scale * torch.hypot(0.69 * pose.cos_roll, 0.55 * pose.sin_roll)
    edges = (
        (middle_x - reach_x).min(),
        (middle_y - reach_y).min(),
        (middle_x + reach_x).max(),
        (middle_y + reach_y).max(),
    )
    x0, y0, x1, y1 = (min(1.0, max(0.0, 0.5 + 0.5 * float(edge))) for edge in edges)
    return x0, y0, x1, y1


def mouth_and_eye_weights(states: Tensor, size: int) -> Tensor:
    """Weights [T, 1, size, size] for a loss over pictures or latents.

    1 in general, about 2.5 on the face, 6 at its mouth and 10 at its eyes: small parts that all look at.

    The regions are wide enough for every avatar and move with the head.
    """
    axis = pixel_centres(size, states.device)
    pose = HeadPose.of(states)
    x, y = pose.local(axis.view(1, 1, -1), axis.view(1, -1, 1))

    def region(at_y: float, depth: float, half_width: float, half_height: float) -> Tensor:
        centre_x, centre_y, _ = pose.project(0.0, at_y, depth)
        radius_squared = ((x - centre_x) / half_width) ** 2 + ((y - centre_y) / half_height) ** 2
        return torch.exp(-(radius_squared**2))

    mouth = region(0.34, 0.42, 0.31, 0.20)
    eyes = region(-0.11, 0.36, 0.38, 0.17)
    face = region(0.08, 0.2, 0.52, 0.56)
    return (1 + 1.5 * face + 3.5 * mouth + 7.5 * eyes).unsqueeze(1)
