"""Which pixels of a drawn avatar are its face, its eyes and its mouth: where the figures look."""

from dataclasses import replace

import torch
from torch import Tensor

from .avatars.canvas import coverage_of, pixel_centres
from .avatars.eyes import EYE_DEPTH
from .avatars.face import face_distance
from .avatars.hair import paint_front_hair
from .avatars.head_pose import HeadPose
from .avatars.identity import AvatarIdentity
from .avatars.scene import Scene

# Head units: large enough for every avatar's mouth in every shape, and for both eyes with their brows.
_MOUTH_Y, _MOUTH_DEPTH, _MOUTH_HALF_SIZE = 0.36, 0.42, (0.31, 0.20)
_EYES_Y, _EYES_HALF_SIZE = -0.11, (0.34, 0.15)
# The mouth in all poses that a talking avatar takes, in half-widths of the picture.
_MOUTH_ANYWHERE = (-0.60, 0.60, 0.03, 0.75)
_EDGE_HEAD_UNITS = 0.02  # of the face that is left out: a small error of pose must not let the background in


def _inside(
    states: Tensor, size: int, centre_y: float, depth: float, half_size: tuple[float, float]
) -> Tensor:
    """An ellipse [N, S, S] (1 inside, else 0) that moves with the head."""
    axis = pixel_centres(size, states.device)
    pose = HeadPose.of(states)
    x, y = pose.local(axis.view(1, 1, -1), axis.view(1, -1, 1))
    centre_x, middle_y, _ = pose.project(0.0, centre_y, depth)
    radius_squared = ((x - centre_x) / half_size[0]) ** 2 + ((y - middle_y) / half_size[1]) ** 2
    return (radius_squared < 1).float()


@torch.no_grad()
def face_weights(identity: AvatarIdentity, states: Tensor, size: int) -> Tensor:
    """1 on the face without mouth, hair, ears, clothes and background, else 0: [N, 1, S, S]."""
    white = torch.ones_like(identity.hair)
    scene = Scene.build(replace(identity, hair=white), states, size)
    paint_front_hair(scene)  # on black, so that what is not black is hair
    skin = coverage_of(face_distance(scene) + _EDGE_HEAD_UNITS, scene.head_pixel) > 0.5
    bare = scene.canvas.image.amax(1) < 0.05
    mouth = _inside(states, size, _MOUTH_Y, _MOUTH_DEPTH, _MOUTH_HALF_SIZE)
    return ((skin & bare).float() * (1 - mouth)).unsqueeze(1)


def eye_weights(states: Tensor, size: int) -> Tensor:
    """1 around both eyes, else 0: [N, 1, S, S]."""
    return _inside(states, size, _EYES_Y, EYE_DEPTH, _EYES_HALF_SIZE).unsqueeze(1)


def off_mouth_weights(size: int) -> Tensor:
    """0 where a talking avatar's mouth may be, else 1: [S, S]. Fixed, so that head motion still counts."""
    axis = pixel_centres(size, torch.device("cpu"))
    left, right, top, bottom = _MOUTH_ANYWHERE
    mouth = ((axis > top) & (axis < bottom)).view(-1, 1) & ((axis > left) & (axis < right)).view(1, -1)
    return (~mouth).float()
