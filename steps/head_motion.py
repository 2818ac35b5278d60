"""How lively the head moves: the three styles, a constant speed, and the room it gets."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError
from ..models.config import SamplingDefaults

STYLES = ("calm", "normal", "active")
MAX_SPEED = 4.0
MAX_MARGIN = 10.0
# Share of the face's size by which the movement box is larger, for each degree per frame of head speed.
_MARGIN_PER_SPEED = 0.12
_LEAST_MARGIN = 0.03


@dataclass(frozen=True)
class HeadMotion:
    """A head speed, and the room around the face that goes with it.

    Attributes:
        speed: degrees per frame, constant over the video (paper, section 3.3).
        margin: movement margin as a share of the face's size; None: what suits the speed.
    """

    speed: float
    margin: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.speed <= MAX_SPEED:
            raise InputError(
                got=f"head speed {self.speed:g}",
                allowed=f"0 to {MAX_SPEED:g} degrees per frame (speech 0.1 to 1.0, singing 1.0 to 1.3)",
                do="choose a lower speed, or a style",
            )
        if self.margin is not None and not 0 <= self.margin <= MAX_MARGIN:
            raise InputError(
                got=f"movement margin {self.margin:g}",
                allowed=f"0 to {MAX_MARGIN:g}, a share of the face's size",
                do="set it, for example to 0.1",
            )

    @property
    def movement_margin(self) -> float:
        """The margin given, or the one that suits the speed."""
        return _LEAST_MARGIN + _MARGIN_PER_SPEED * self.speed if self.margin is None else self.margin

    def speeds(self, frame_count: int) -> Tensor:
        """Speeds w(f) of a clip [1, F]."""
        return torch.full((1, frame_count), self.speed)


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
