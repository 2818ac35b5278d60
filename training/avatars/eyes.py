"""Eyes with lids that blink and irises that look around, brows, and glasses."""

import torch
from torch import Tensor

from .canvas import Canvas, ellipse
from .scene import Scene, grey

EYE_DEPTH, BROW_DEPTH, BRIDGE_DEPTH = 0.36, 0.38, 0.45
LASH_THICKNESS, FRAME_THICKNESS = 0.011, 0.012  # half-thickness, head units


def eye_centre(scene: Scene, side: float) -> tuple[Tensor, Tensor, Tensor]:
    """Head coordinates of an eye's middle (side -1 left, 1 right in the picture) and its sideways squeeze."""
    return scene.pose.project(side * scene.look.eye_spacing, scene.look.eye_height, EYE_DEPTH)


def _lid_curves(scene: Scene, dx: Tensor, half_width: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """y of the upper and lower lid over dx, and the factor that turns y differences into distances."""
    half_height = scene.look.eye_radius * scene.look.eye_aspect
    along = dx / half_width
    arch = 1 - along * along
    shut_y = 0.55 * half_height  # where the lids meet
    upper = (-1.05 * half_height * (1 - scene.act.blink) + shut_y * scene.act.blink) * arch
    lower = (0.95 * half_height * (1 - scene.act.blink) + shut_y * scene.act.blink) * arch
    slope = (2 * half_height / half_width) * along.clamp(-1, 1)
    return upper, lower, torch.rsqrt(1 + slope * slope)


def _paint_eyeball(scene: Scene, canvas: Canvas, dx: Tensor, dy: Tensor, squeeze: Tensor) -> None:
    """Fills the canvas with white, iris, pupil and a light; the lids decide how much of it is seen."""
    look, act = scene.look, scene.act
    canvas.image.fill_(0.96)
    iris = look.eye_radius * 0.62
    iris_x = dx - act.gaze_x * look.eye_radius * 0.35
    iris_y = dy - act.gaze_y * look.eye_radius * 0.25
    disc = ellipse(iris_x, iris_y, iris * squeeze, iris)
    canvas.paint(look.iris * 0.55, scene.cover(disc))
    canvas.paint(look.iris, scene.cover(disc + 0.010))
    canvas.paint(look.iris * 0.12, scene.cover(ellipse(iris_x, iris_y, iris * 0.5 * squeeze, iris * 0.5)))
    light = ellipse(iris_x + 0.3 * iris, iris_y + 0.3 * iris, iris * 0.25, iris * 0.25)
    canvas.paint(grey(1.0, look.iris), scene.cover(light))


def _paint_eye(scene: Scene, canvas: Canvas, dx: Tensor, dy: Tensor, squeeze: Tensor) -> None:
    look = scene.look
    half_width = look.eye_radius * squeeze
    half_height = look.eye_radius * look.eye_aspect
    socket = ellipse(dx, dy + 0.1 * half_height, half_width * 1.28, half_height * 1.45)
    canvas.paint(look.skin * 0.74, scene.cover(socket) * 0.5)
    upper, lower, steepness = _lid_curves(scene, dx, half_width)
    gap = torch.maximum((upper - dy) * steepness, (dy - lower) * steepness)
    ball = Canvas(torch.empty_like(canvas.image), canvas.x, canvas.y, canvas.pixel)
    _paint_eyeball(scene, ball, dx, dy, squeeze)
    canvas.paint(ball.image, scene.cover(gap) * (3 - 3 * scene.act.blink).clamp(0, 1))
    lash = torch.maximum((dy - upper).abs() * steepness - LASH_THICKNESS, dx.abs() - half_width * 1.06)
    canvas.paint(look.skin * 0.20, scene.cover(lash) * 0.85)


def _paint_brow(scene: Scene, canvas: Canvas, x: Tensor, y: Tensor, side: float) -> None:
    look = scene.look
    height = look.eye_height - look.brow_distance - 0.05 * scene.act.brow
    brow_x, brow_y, squeeze = scene.pose.project(side * look.eye_spacing, height, BROW_DEPTH)
    dx = x - brow_x
    line = (y - brow_y) - side * dx * look.brow_tilt - (dx / (look.eye_radius * 2.2)) ** 2 * 0.05
    half_length = look.eye_radius * 1.35 * squeeze
    outward = (side * dx / half_length).clamp(-1, 1)
    thickness = look.brow_thickness * (0.95 - 0.35 * outward)  # thinner towards the temple
    shape = torch.maximum(line.abs() - thickness, dx.abs() - half_length)
    canvas.paint(look.hair * 0.72, scene.cover(shape) * 0.92)


def _paint_lens_frame(scene: Scene, canvas: Canvas, dx: Tensor, dy: Tensor, squeeze: Tensor) -> None:
    look = scene.look
    rim = ellipse(dx, dy, look.eye_radius * 1.65 * squeeze, look.eye_radius * 1.5)
    canvas.paint(grey(0.12, look.iris), scene.cover(rim.abs() - FRAME_THICKNESS) * look.glasses)


def _paint_bridge(scene: Scene) -> None:
    look = scene.look
    x, y, _ = scene.pose.project(0.0, look.eye_height, BRIDGE_DEPTH)
    left, right = (eye_centre(scene, side) for side in (-1.0, 1.0))
    rim = look.eye_radius * 1.65
    start, end = left[0] + rim * left[2], right[0] - rim * right[2]
    window = scene.window(x, y, 0.16, 0.08)
    local_x, local_y = scene.pose.local(window.canvas.x, window.canvas.y)
    bar = torch.maximum(
        (local_y - y + 0.01).abs() - FRAME_THICKNESS, torch.maximum(start - local_x, local_x - end)
    )
    window.canvas.paint(grey(0.12, look.iris), scene.cover(bar) * look.glasses)
    window.put_back()


def paint_eyes(scene: Scene) -> None:
    """Paints both eyes with their brows, and glasses on those avatars that wear them."""
    for side in (-1.0, 1.0):
        x, y, squeeze = eye_centre(scene, side)
        window = scene.window(x, y - 0.06, 0.19, 0.22)
        local_x, local_y = scene.pose.local(window.canvas.x, window.canvas.y)
        dx, dy = local_x - x, local_y - y
        _paint_eye(scene, window.canvas, dx, dy, squeeze)
        _paint_brow(scene, window.canvas, local_x, local_y, side)
        _paint_lens_frame(scene, window.canvas, dx, dy, squeeze)
        window.put_back()
    _paint_bridge(scene)
