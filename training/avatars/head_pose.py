"""Where the head and its features lie in the picture for a given state."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .state import STATE, STATE_NAMES

REST_Y = -0.03  # the head of a state without shift sits a little above the middle of the picture


@dataclass(frozen=True)
class HeadPose:
    """Position and rotation of B heads; every tensor is [B, 1, 1]."""

    centre_x: Tensor
    centre_y: Tensor
    scale: Tensor
    cos_roll: Tensor
    sin_roll: Tensor
    cos_yaw: Tensor
    sin_yaw: Tensor
    cos_pitch: Tensor
    sin_pitch: Tensor

    @classmethod
    def of(cls, states: Tensor) -> "HeadPose":
        """From states [B, 14]."""
        value = dict(zip(STATE_NAMES, states.view(-1, len(STATE), 1, 1).unbind(1), strict=True))
        return cls(
            centre_x=value["shift_x"],
            centre_y=value["shift_y"] + REST_Y,
            scale=value["scale"],
            cos_roll=torch.cos(value["roll"]),
            sin_roll=torch.sin(value["roll"]),
            cos_yaw=torch.cos(value["yaw"]),
            sin_yaw=torch.sin(value["yaw"]),
            cos_pitch=torch.cos(value["pitch"]),
            sin_pitch=torch.sin(value["pitch"]),
        )

    def local(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Head coordinates [B, h, w] of points in the picture: roll, shift and scale undone.

        x ([B or 1, 1, w]) and y ([B or 1, h, 1]) are in half-widths of the picture, as in Canvas.
        """
        dx, dy = (x - self.centre_x) / self.scale, (y - self.centre_y) / self.scale
        return dx * self.cos_roll + dy * self.sin_roll, dy * self.cos_roll - dx * self.sin_roll

    def on_canvas(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Canvas coordinates of a point given in head coordinates (the inverse of `local`, for [B, 1, 1])."""
        turned_x, turned_y = x * self.cos_roll - y * self.sin_roll, x * self.sin_roll + y * self.cos_roll
        return self.centre_x + turned_x * self.scale, self.centre_y + turned_y * self.scale

    def project(self, x: Tensor | float, y: Tensor | float, depth: float) -> tuple[Tensor, Tensor, Tensor]:
        """Head coordinates of a point of the face after yaw and pitch, and how much it is squeezed sideways.

        x, y: the point on a face that looks straight ahead; depth: how far it stands out towards the viewer.
        """
        turned_x = x * self.cos_yaw + depth * self.sin_yaw
        turned_depth = depth * self.cos_yaw - x * self.sin_yaw
        turned_y = y * self.cos_pitch + turned_depth * self.sin_pitch
        squeeze = (turned_depth / max(depth, 0.1)).clamp(0.35, 1.25)
        return turned_x, turned_y, squeeze
