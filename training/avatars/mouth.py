"""The mouth: lips around an opening with teeth and tongue, for any mix of open, wide, round and teeth."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .canvas import Canvas, ellipse
from .scene import Scene, colour

LARGEST_OPENING = 0.205  # head units between the lips at open = 1


@dataclass(frozen=True)
class _Mouth:
    """Coordinates in the mouth's window and the curves of its opening; [B, h, w] unless said."""

    dx: Tensor  # from the middle of the mouth
    dy: Tensor
    along: Tensor  # dx over the half-width: -1..1 from corner to corner
    half_width: Tensor  # [B, 1, 1]
    opening: Tensor  # [B, 1, 1], head units
    upper: Tensor  # y of the opening's upper edge
    lower: Tensor  # y of the opening's lower edge


def mouth_centre(scene: Scene) -> tuple[Tensor, Tensor, Tensor]:
    """Head coordinates of the mouth's middle and its sideways squeeze, [B, 1, 1] each."""
    return scene.pose.project(0.0, scene.look.mouth_height + 0.025 * scene.act.open, 0.42)


def _measure(scene: Scene, canvas: Canvas) -> _Mouth:
    act = scene.act
    x, y, squeeze = mouth_centre(scene)
    local_x, local_y = scene.pose.local(canvas.x, canvas.y)
    half_width = scene.look.mouth_width * (0.92 + 0.28 * act.wide - 0.48 * act.round) * squeeze
    opening = LARGEST_OPENING * act.open * (1 - 0.15 * act.round)
    dx = local_x - x
    along = dx / half_width
    inside = (1 - along * along).clamp(min=0)
    arch = inside.sqrt()
    upper = -0.38 * opening * arch - 0.010 * inside * (1 - act.round)
    return _Mouth(dx, local_y - y, along, half_width, opening, upper, 0.62 * opening * arch)


def _paint_lips(scene: Scene, canvas: Canvas, mouth: _Mouth) -> None:
    look, act = scene.look, scene.act
    thickness = look.lip_thickness * (1 + 0.25 * act.round)
    outer_half = mouth.half_width + thickness * 0.5
    fullness = (1 - (mouth.dx / outer_half) ** 2).clamp(min=0).sqrt()
    bow = 0.012 * (1 - (mouth.along / 0.45) ** 2).clamp(min=0) ** 2  # the dip in the middle of the upper lip
    top = mouth.upper - 0.85 * thickness * fullness + bow
    bottom = mouth.lower + 1.15 * thickness * fullness
    outline = torch.maximum(top - mouth.dy, mouth.dy - bottom)
    outline = torch.maximum(outline, mouth.dx.abs() - outer_half)
    lower_lip = ((mouth.dy - mouth.lower - 0.2 * thickness) * 60).sigmoid()
    tone = (look.lip * (0.90 + 0.22 * lower_lip).unsqueeze(1)).clamp_(0, 1)
    canvas.paint(tone, scene.cover(outline))
    middle = (mouth.upper + mouth.lower) * 0.5
    seam = scene.cover((mouth.dy - middle).abs() - 0.009) * scene.cover(
        mouth.dx.abs() - mouth.half_width * 1.02
    )
    canvas.paint(look.lip * 0.38, seam * (0.85 * (1 - 6 * act.open).clamp(0, 1)))


def _paint_inside(scene: Scene, canvas: Canvas, mouth: _Mouth) -> None:
    look, act = scene.look, scene.act
    hole = torch.maximum(mouth.upper - mouth.dy, mouth.dy - mouth.lower)
    hole = torch.maximum(hole, mouth.dx.abs() - mouth.half_width)
    inner = Canvas(torch.empty_like(canvas.image), canvas.x, canvas.y, canvas.pixel)
    inner.image.copy_(colour(0.20, 0.05, 0.06, look.lip).expand_as(inner.image))
    tongue_y = mouth.dy - 0.62 * mouth.opening - 0.01
    tongue = ellipse(mouth.dx, tongue_y, mouth.half_width * 0.62, 0.42 * mouth.opening + 0.01)
    inner.paint(colour(0.72, 0.32, 0.34, look.lip), scene.cover(tongue) * 0.9)
    teeth_height = 0.045 * (1 - 0.7 * act.round)
    teeth = scene.cover(mouth.dy - mouth.upper - teeth_height)
    teeth = teeth * (1 - 30 * (mouth.along.abs() - 0.80)).clamp(0, 1)
    shown = (5 * act.open - 0.3).clamp(0, 1) * (1 - 0.8 * act.round)
    inner.paint(colour(0.95, 0.94, 0.90, look.lip), teeth * shown)
    canvas.paint(inner.image, scene.cover(hole) * (9 * act.open).clamp(0, 1))


def _paint_teeth_on_lip(scene: Scene, canvas: Canvas, mouth: _Mouth) -> None:
    bar = torch.maximum((mouth.dy - 0.012).abs() - 0.016, mouth.dx.abs() - 0.6 * mouth.half_width)
    canvas.paint(colour(0.95, 0.94, 0.90, scene.look.lip), scene.cover(bar) * (0.9 * scene.act.teeth))


def paint_mouth(scene: Scene, face_coverage: Tensor) -> None:
    """Paints lips, the inside of an open mouth, and the upper teeth on the lower lip for f and v.

    What a strongly turned head would show beyond the outline of the face is hidden.
    """
    x, y, _ = mouth_centre(scene)
    window = scene.window(x, y + 0.025, 0.36, 0.22)
    mouth = _measure(scene, window.canvas)
    without_mouth = window.canvas.image.clone()
    _paint_lips(scene, window.canvas, mouth)
    _paint_inside(scene, window.canvas, mouth)
    _paint_teeth_on_lip(scene, window.canvas, mouth)
    window.canvas.paint(without_mouth, 1 - window.crop(face_coverage))
    window.put_back()
