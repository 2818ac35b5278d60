"""Hair: what hangs behind the head, and the cap with its fringe and side strands before it."""

import torch
from torch import Tensor

from .canvas import ellipse, smooth_max
from .face import CONTOUR_FOLLOWS_YAW
from .scene import Scene

CROWN_Y = -0.10  # the hair's widest point, a little above the middle of the face
EYE_CLEARANCE = 0.11  # the fringe ends this far above the eyes


def _dome(scene: Scene, extra: float) -> Tensor:
    """Distance to the outer shape of the hair: round above the crown, straight down below it."""
    look = scene.look
    dx = scene.x + 0.05 * scene.pose.sin_yaw
    width = look.face_width + look.hair_volume + extra
    height = look.face_height + look.hair_volume - 0.04
    return ellipse(dx, (scene.y - CROWN_Y).clamp(max=0), width, height)


def paint_back_hair(scene: Scene) -> None:
    """The part of long hair that hangs behind face and shoulders."""
    look = scene.look
    shape = smooth_max(_dome(scene, 0.015), scene.y - (0.1 + 0.75 * look.hair_length), 0.12)
    shown = (1 - look.bald) * (look.hair_length > 0)
    scene.canvas.paint(look.hair * 0.62, scene.cover(shape) * shown)


def _face_opening(scene: Scene) -> Tensor:
    """Distance to the part of the face that the hair leaves free (negative inside)."""
    look, sin_yaw = scene.look, scene.pose.sin_yaw
    from_part = scene.x - 0.5 * look.part - 0.15 * sin_yaw
    hairline = look.fringe_height + 0.05 * scene.pose.sin_pitch + 0.6 * from_part**2
    lowest = look.eye_height - EYE_CLEARANCE + 0.2 * scene.pose.sin_pitch
    below_fringe = torch.minimum(hairline, lowest) - scene.y
    # long hair falls beside the cheeks and gives way to them further down
    half_width = look.face_width * 0.90 + 0.05 * (scene.y + 0.2).clamp(min=0)
    beside = (scene.x - (CONTOUR_FOLLOWS_YAW + 0.05) * sin_yaw).abs() - half_width
    return smooth_max(below_fringe, beside, 0.10)


def paint_front_hair(scene: Scene) -> None:
    """The cap over the skull, open at the face; short hair ends at the ears, slanting upwards outside."""
    look = scene.look
    outward = (scene.x.abs() - look.face_width * 0.9).clamp(min=0)
    is_short = (look.hair_length == 0).float()
    end = 0.02 + 0.60 * look.hair_length - 0.8 * outward * is_short
    shape = smooth_max(_dome(scene, 0.0), scene.y - end, 0.06)
    shape = torch.maximum(shape, -_face_opening(scene))
    strands = 1.0 + 0.09 * torch.sin(scene.x * 14 + scene.y * 6) - 0.25 * (scene.y + 0.5)
    tone = (look.hair * strands.clamp_(0.6, 1.25).unsqueeze(1)).clamp_(0, 1)
    scene.canvas.paint(tone, scene.cover(shape) * (1 - look.bald))
