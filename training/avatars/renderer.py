"""Draws avatars: an identity and a state in, a picture out."""

import torch
from torch import Tensor

from ...errors import InputError
from .body import paint_background, paint_body, paint_ears
from .eyes import paint_eyes
from .face import paint_cheeks_and_nose, paint_face
from .hair import paint_back_hair, paint_front_hair
from .identity import AvatarIdentity
from .mouth import paint_mouth
from .scene import Scene
from .state import STATE_NAMES

SMALLEST_SIZE_PX = 16
CPU_CHUNK = 8  # pictures drawn at a time on a CPU: their planes stay in its cache, which halves the time


@torch.no_grad()
def render(identity: AvatarIdentity, states: Tensor, size_px: int = 128) -> Tensor:
    """Draws one picture for each avatar and state.

    Args:
        identity: B avatars.
        states: [B, 14], the columns of `state.STATE_NAMES`, on the identity's device.
        size_px: width and height of the pictures.

    Returns:
        [B, 3, size_px, size_px], RGB in 0..1, anti-aliased.

    Raises:
        InputError: the states do not fit the avatars, or the size is too small.
    """
    if states.shape != (len(identity), len(STATE_NAMES)):
        raise InputError(
            got=f"states of shape {list(states.shape)} for {len(identity)} avatars",
            allowed=f"[{len(identity)}, {len(STATE_NAMES)}]",
            do="give one state per avatar (AvatarIdentity.repeat_interleave repeats avatars over frames)",
        )
    if size_px < SMALLEST_SIZE_PX:
        raise InputError(
            got=f"size_px {size_px}", allowed=f"{SMALLEST_SIZE_PX} or more", do="ask for more pixels"
        )
    chunk = CPU_CHUNK if states.device.type == "cpu" else len(states)
    pictures = [
        _draw(identity.select(slice(first, first + chunk)), states[first : first + chunk].float(), size_px)
        for first in range(0, len(states), chunk)
    ]
    return torch.cat(pictures)


def _draw(identity: AvatarIdentity, states: Tensor, size_px: int) -> Tensor:
    scene = Scene.build(identity, states, size_px)
    paint_background(scene)
    paint_back_hair(scene)
    paint_body(scene)
    paint_ears(scene)
    face_coverage = paint_face(scene)
    paint_cheeks_and_nose(scene, face_coverage)
    paint_mouth(scene, face_coverage)
    paint_eyes(scene)
    paint_front_hair(scene)
    return scene.canvas.image.clamp_(0, 1)
