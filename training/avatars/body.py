"""Background, neck, clothes and ears: what lies behind the face."""

import torch

from .canvas import coverage_of, ellipse, smooth_max
from .scene import Scene


def paint_background(scene: Scene) -> None:
    """A soft gradient between the avatar's two background colours."""
    look, canvas = scene.look, scene.canvas
    along = canvas.x * torch.cos(look.background_angle) + canvas.y * torch.sin(look.background_angle)
    canvas.image.copy_(look.background_first.expand_as(canvas.image))
    canvas.paint(look.background_second, torch.sigmoid(2.5 * along))


def paint_body(scene: Scene) -> None:
    """Neck, shoulders and neckline; they follow the head only half."""
    look, canvas, pixel = scene.look, scene.canvas, scene.canvas.pixel
    dx, dy = canvas.x - scene.pose.centre_x * 0.5, canvas.y - scene.pose.centre_y * 0.5
    neck_colour = look.skin * 0.74
    canvas.paint(neck_colour, coverage_of(torch.maximum(dx.abs() - 0.19, 0.2 - dy), pixel))
    cloth = look.cloth * (1 - 0.25 * canvas.y).clamp(0.6, 1).unsqueeze(1)
    shoulders = ellipse(dx, dy - 1.15, canvas.x.new_tensor(0.85), canvas.x.new_tensor(0.52))
    canvas.paint(cloth, coverage_of(shoulders, pixel))
    neckline = ellipse(dx, dy - 0.62, canvas.x.new_tensor(0.24), canvas.x.new_tensor(0.16))
    canvas.paint(neck_colour, coverage_of(neckline, pixel) * (1 - look.collar))
    collar = smooth_max(neckline.abs() - 0.035, 0.62 - dy, 0.02)
    canvas.paint(look.cloth * 0.72, coverage_of(collar, pixel) * look.collar)


def paint_ears(scene: Scene) -> None:
    """Two ears, half hidden by the face that is painted after them."""
    look = scene.look
    for side in (-1.0, 1.0):
        x, y, _ = scene.pose.project(side * look.face_width * 0.98, 0.0, -0.05)
        y = y + 0.02
        window = scene.window(x, y, 0.10, 0.16)
        local_x, local_y = scene.pose.local(window.canvas.x, window.canvas.y)
        outer = ellipse(local_x - x, local_y - y, look.ear_size, look.ear_size * 1.7)
        window.canvas.paint(look.skin * 0.86, scene.cover(outer))
        inner = ellipse(local_x - x, local_y - y, look.ear_size * 0.55, look.ear_size * 1.1)
        window.canvas.paint(look.skin * 0.70, scene.cover(inner))
        window.put_back()
