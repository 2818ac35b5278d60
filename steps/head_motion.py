"""How lively the head moves: three styles, a constant speed or a curve of speeds, and the room it gets."""

import json
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..models.config import SamplingDefaults

STYLES = ("calm", "normal", "active")
MAX_SPEED = 4.0
MAX_MARGIN = 10.0
MAX_POINTS = 1000
USUAL_SPEED = 0.5
"""Degrees per frame where none is chosen yet: what the blocks show at first."""

# Share of the face's size by which the movement box is larger, for each degree per frame of head speed.
_MARGIN_PER_SPEED = 0.12
_LEAST_MARGIN = 0.03


@dataclass(frozen=True)
class SpeedCurve:
    """Head speed over time: straight between points, level before the first and after the last.

    Attributes:
        points: (time in seconds, speed in degrees per frame), in order of time.
    """

    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        """Raises InputError: no points, times not rising from 0 or later, or a speed out of range."""
        if not 1 <= len(self.points) <= MAX_POINTS:
            raise InputError(
                got=f"a speed curve of {len(self.points)} points",
                allowed=f"1 to {MAX_POINTS} points",
                do="draw a point, or choose another style",
            )
        before = -math.inf
        for time_s, speed in self.points:
            if not (math.isfinite(time_s) and time_s >= 0 and time_s > before):
                raise InputError(
                    got=f"a curve point at {time_s:g} s after one at {before:g} s",
                    allowed="times of 0 s or more, each later than the one before",
                    do="put the points in order of time",
                )
            _check_speed(speed)
            before = time_s

    @property
    def highest(self) -> float:
        """The highest speed of the curve in degrees per frame."""
        return max(speed for _, speed in self.points)

    def speeds_at(self, times_s: np.ndarray) -> np.ndarray:
        """Speeds at these times [N] in seconds, in degrees per frame [N]."""
        times, speeds = zip(*self.points, strict=True)
        return np.interp(times_s, times, speeds)


def parse_curve(text: str) -> SpeedCurve:
    """Read a curve as the editor stores it: a JSON list of points, [[0, 0.3], [1.2, 0.8]].

    Raises:
        InputError: no such list, or what `SpeedCurve` refuses.
    """
    try:
        points = json.loads(text)
        return SpeedCurve(tuple((_number(time_s), _number(speed)) for time_s, speed in points))
    except (ValueError, TypeError):
        raise InputError(
            got=f"a speed curve {text[:80]!r}",
            allowed="a JSON list of points [time in seconds, speed in degrees per frame]",
            do="draw the curve, or write it like [[0, 0.3], [1.2, 0.8]]",
        ) from None


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _check_speed(speed: float) -> None:
    if not 0 <= speed <= MAX_SPEED:
        raise InputError(
            got=f"head speed {speed:g}",
            allowed=f"0 to {MAX_SPEED:g} degrees per frame (speech 0.1 to 1.0, singing 1.0 to 1.3)",
            do="choose a lower speed, or a style",
        )


@dataclass(frozen=True)
class HeadMotion:
    """A head speed, and the room around the face that goes with it.

    Attributes:
        speed: degrees per frame, constant over the video (paper, section 3.3) or a curve.
        margin: movement margin as a share of the face's size; None: what suits the speed.
    """

    speed: float | SpeedCurve
    margin: float | None = None

    def __post_init__(self) -> None:
        """Raises InputError: a constant speed or a margin out of range."""
        if not isinstance(self.speed, SpeedCurve):
            _check_speed(self.speed)
        if self.margin is not None and not 0 <= self.margin <= MAX_MARGIN:
            raise InputError(
                got=f"movement margin {self.margin:g}",
                allowed=f"0 to {MAX_MARGIN:g}, a share of the face's size",
                do="set it, for example to 0.1",
            )

    @property
    def highest_speed(self) -> float:
        """The highest speed of the video in degrees per frame."""
        return self.speed.highest if isinstance(self.speed, SpeedCurve) else self.speed

    @property
    def movement_margin(self) -> float:
        """The margin given, or the one that suits the highest speed."""
        return _LEAST_MARGIN + _MARGIN_PER_SPEED * self.highest_speed if self.margin is None else self.margin

    def speeds(self, first_frame: int, frame_count: int, fps: float | Fraction) -> Tensor:
        """Speeds w(f) of a clip [1, F] that starts with `first_frame` of a video at `fps`."""
        if not isinstance(self.speed, SpeedCurve):
            return torch.full((1, frame_count), self.speed)
        times_s = np.arange(first_frame, first_frame + frame_count) / float(fps)  # [F]
        return torch.from_numpy(self.speed.speeds_at(times_s)).float()[None]


def motion_of_style(style: str, defaults: SamplingDefaults, margin: float | None = None) -> HeadMotion:
    """The head motion of "calm", "normal" or "active" as the model defines it.

    Raises:
        InputError: if there is no such style.
    """
    if style not in STYLES:
        raise InputError(got=f"style {style!r}", allowed=", ".join(STYLES), do="choose one of these styles")
    return HeadMotion(
        {"calm": defaults.calm, "normal": defaults.normal, "active": defaults.active}[style], margin
    )
