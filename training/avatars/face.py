"""The face itself, its beard, cheeks and nose."""

from torch import Tensor

from .canvas import Canvas, bump, ellipse
from .scene import Scene, colour

CONTOUR_FOLLOWS_YAW = 0.03  # the outline of a turning head moves much less than its features
SQUARENESS = 0.32  # 0 would be an ellipse; this is close to a superellipse of exponent 2.3


def face_distance(scene: Scene) -> Tensor:
    """Distance to the outline of the face [B, S, S]; the jaw drops with the open mouth."""
    look, y = scene.look, scene.y - 0.04 * scene.pose.sin_pitch
    below = y.clamp(min=0)
    chin = look.face_height + 0.10 * scene.act.open
    jaw = below / chin
    width = look.face_width * (1 - look.jaw_taper * jaw * jaw)
    across = ((scene.x - CONTOUR_FOLLOWS_YAW * scene.pose.sin_yaw) / width) ** 2
    upright = (y.clamp(max=0) / look.face_height + jaw) ** 2
    radius_squared = across + upright - SQUARENESS * across.clamp(max=1) * upright.clamp(max=1)
    return ((radius_squared.clamp_(min=0) + 1e-6).sqrt() - 1) * look.face_width


def paint_face(scene: Scene) -> Tensor:
    """Paints the shaded skin with the beard on it; returns the face's coverage [B, S, S]."""
    look = scene.look
    coverage = scene.cover(face_distance(scene))
    lit_x = (scene.x - CONTOUR_FOLLOWS_YAW * scene.pose.sin_yaw + 0.12) / look.face_width
    shade = 1.02 - 0.20 * lit_x**2 - 0.10 * (scene.y / look.face_height) ** 2 - 0.05 * scene.y
    skin = look.skin * shade.clamp_(0.55, 1.1).unsqueeze(1)
    lower_edge = scene.y - 0.14 + 0.15 * (0.35 - scene.x.abs()).clamp_(min=0)
    beard = (lower_edge * 22).sigmoid_() * (look.beard * 0.75)
    skin.lerp_(look.hair * 0.8, beard.unsqueeze(1))
    scene.canvas.paint(skin, coverage)
    return coverage


def paint_cheeks_and_nose(scene: Scene, face_coverage: Tensor) -> None:
    """A blush on both cheeks and the nose, all in one window over the middle of the face."""
    look = scene.look
    x, y, _ = scene.pose.project(0.0, 0.07, 0.42)
    window = scene.window(x, y, 0.50, 0.32)
    local_x, local_y = scene.pose.local(window.canvas.x, window.canvas.y)
    on_face = window.crop(face_coverage)
    blush = look.skin * colour(1.0, 0.72, 0.72, look.skin)
    for side in (-0.26, 0.26):
        cheek_x, cheek_y, squeeze = scene.pose.project(side, 0.16, 0.33)
        spot = bump(local_x - cheek_x, local_y - cheek_y, 0.20 * squeeze, 0.16)
        window.canvas.paint(blush, spot * on_face * 0.28)
    _paint_nose(scene, window.canvas, local_x, local_y)
    window.put_back()


def _paint_nose(scene: Scene, canvas: Canvas, local_x: Tensor, local_y: Tensor) -> None:
    look = scene.look
    tip_x, tip_y, squeeze = scene.pose.project(0.0, look.nose_height, 0.52)
    root_x, root_y, _ = scene.pose.project(0.0, look.eye_height, 0.44)
    along = ((local_y - root_y) / (tip_y - root_y).clamp(min=0.02)).clamp(0, 1)
    ridge = root_x + (tip_x - root_x) * along
    shadow = bump(local_x - ridge - 0.035 * (0.4 + along), local_x * 0, 0.035 + 0.02 * along, 1.0)
    canvas.paint(look.skin * 0.70, shadow * (4 * along * (1 - along)).sqrt() * 0.38)
    dx, dy, width = local_x - tip_x, local_y - tip_y, look.nose_width
    canvas.paint(look.skin * 0.74, scene.cover(ellipse(dx, dy, width, width * 0.55)) * 0.55)
    light = ellipse(dx + 0.01, dy + 0.02, width * 0.55, width * 0.45)
    canvas.paint((look.skin * 1.05).clamp(max=1), scene.cover(light) * 0.6)
    for side in (-0.55, 0.55):
        nostril = ellipse(dx - side * width * squeeze, dy - 0.012, width * 0.26, width * 0.17)
        canvas.paint(look.skin * 0.35, scene.cover(nostril) * 0.8)
