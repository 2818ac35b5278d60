"""What every painter needs: the picture, the avatar, its state and pose, ready to broadcast over pixels."""

from dataclasses import dataclass, fields
from types import SimpleNamespace

import torch
from torch import Tensor

from .canvas import Canvas, Window, coverage_of
from .head_pose import HeadPose
from .identity import AvatarIdentity
from .state import STATE


@dataclass(frozen=True)
class Scene:
    """One batch being drawn.

    `look` holds the fields of AvatarIdentity ([B, 3, 1, 1] for colours, else [B, 1, 1]); `act` the named
    states ([B, 1, 1]); x, y the head coordinates of the pixels ([B, S, S]).
    """

    canvas: Canvas
    look: SimpleNamespace
    act: SimpleNamespace
    pose: HeadPose
    x: Tensor
    y: Tensor
    largest_scale: float

    @classmethod
    def build(cls, identity: AvatarIdentity, states: Tensor, size_px: int) -> "Scene":
        canvas = Canvas.blank(len(states), size_px, states.device)
        look = {}
        for field in fields(identity):
            value = getattr(identity, field.name)
            look[field.name] = value.view(-1, *value.shape[1:], 1, 1)
        act = {name: states[:, column].view(-1, 1, 1) for name, column in STATE.items()}
        pose = HeadPose.of(states)
        x, y = pose.local(canvas.x, canvas.y)
        largest = float(states[:, STATE["scale"]].max())
        return cls(canvas, SimpleNamespace(**look), SimpleNamespace(**act), pose, x, y, largest)

    @property
    def head_pixel(self) -> Tensor:
        """Width of a pixel in head units [B, 1, 1]."""
        return self.canvas.pixel / self.pose.scale

    def cover(self, distance: Tensor) -> Tensor:
        """Coverage of a shape whose distance is given in head units."""
        return coverage_of(distance, self.head_pixel)

    def window(self, x: Tensor, y: Tensor, half_width: float, half_height: float) -> Window:
        """A window around a point in head coordinates; half sizes in head units, before roll."""
        reach = self.largest_scale * 1.06, 0.2  # a rolled head needs a part of the other side's length
        half_size = (
            reach[0] * (half_width + reach[1] * half_height),
            reach[0] * (half_height + reach[1] * half_width),
        )
        return Window.around(self.canvas, self.pose.on_canvas(x, y), half_size)


def grey(level: float, like: Tensor) -> Tensor:
    """A grey [1, 3, 1, 1] on the device of `like`."""
    return torch.full((1, 3, 1, 1), level, device=like.device)


def colour(red: float, green: float, blue: float, like: Tensor) -> Tensor:
    """A colour [1, 3, 1, 1] on the device of `like`."""
    return torch.tensor([red, green, blue], device=like.device).view(1, 3, 1, 1)
