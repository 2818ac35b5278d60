"""What an avatar does in one frame: mouth, eyes, brows and the pose of the head, as 14 numbers."""

import torch
from torch import Tensor

STATE_NAMES = (
    "open",  # 0..1, jaw opening
    "wide",  # 0..1, lips drawn apart
    "round",  # 0..1, lips rounded
    "teeth",  # 0..1, upper teeth on the lower lip (f, v)
    "blink",  # 0..1, 1 with closed eyes
    "gaze_x",  # about -1..1, positive to the right of the picture
    "gaze_y",  # about -1..1, positive down
    "brow",  # about -1..1, positive raised
    "yaw",  # radians, positive turns the face to the right of the picture
    "pitch",  # radians, positive turns the face down
    "roll",  # radians, positive turns clockwise in the picture
    "shift_x",  # head position in half-widths of the picture, positive right
    "shift_y",  # the same, positive down
    "scale",  # half-widths of the picture per head unit, about 1.1
)
STATE = {name: column for column, name in enumerate(STATE_NAMES)}

_POSE_SPREAD = {"yaw": 0.18, "pitch": 0.10, "roll": 0.06, "shift_x": 0.04, "shift_y": 0.03}
MEAN_SCALE = 1.1


def _draw_pose_and_gaze(count: int, generator: torch.Generator, spread: float) -> Tensor:
    states = torch.zeros(count, len(STATE_NAMES))
    deviations = {"gaze_x": 0.35, "gaze_y": 0.25, "brow": 0.4, **_POSE_SPREAD, "scale": 0.03}
    for name, deviation in deviations.items():
        states[:, STATE[name]] = torch.randn(count, generator=generator) * deviation * spread
    states[:, STATE["scale"]] += MEAN_SCALE
    return states  # [B, 14]


def draw_states(count: int, generator: torch.Generator) -> Tensor:
    """Draws `count` unrelated states [B, 14] that cover everything an avatar can do."""

    def chance(probability: float) -> Tensor:
        return (torch.rand(count, generator=generator) < probability).float()

    def uniform() -> Tensor:
        return torch.rand(count, generator=generator)

    states = _draw_pose_and_gaze(count, generator, spread=1.0)
    opening, roundness = uniform() * chance(0.75), uniform() * chance(0.4)
    states[:, STATE["open"]] = opening
    states[:, STATE["round"]] = roundness
    states[:, STATE["wide"]] = uniform() * (1 - roundness)
    states[:, STATE["teeth"]] = chance(0.1) * (opening < 0.25)
    states[:, STATE["blink"]] = chance(0.15) * uniform()
    return states


def neutral_states(count: int, generator: torch.Generator, spread: float = 0.5) -> Tensor:
    """States [B, 14] of portraits: mouth shut, eyes open, a mild pose (`spread` of the usual one)."""
    states = _draw_pose_and_gaze(count, generator, spread)
    states[:, STATE["wide"]] = 0.35 + 0.2 * torch.rand(count, generator=generator)
    return states
