"""The pose at which a drawn avatar is nearest to a picture: what was detected, refined by drawing it."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .avatars.identity import AvatarIdentity
from .avatars.renderer import render
from .avatars.state import STATE
from .face_areas import face_weights
from .figures import weighted_psnr_db

# Steps for the derivatives, in the units of the states.
_STEPS = {
    **{"yaw": 0.02, "pitch": 0.02, "roll": 0.015, "shift_x": 0.008, "shift_y": 0.008, "scale": 0.01},
    **{"gaze_x": 0.15, "gaze_y": 0.15, "brow": 0.15, "blink": 0.1},
}
_SHARES = dict.fromkeys(("open", "wide", "round", "teeth", "blink"), (0.0, 1.0))
_DAMPING = 0.02
REDUCTIONS = (2, 1)  # sizes of the pictures, full size last
STEPS_A_SIZE = 6


@dataclass(frozen=True)
class PoseFit:
    """N drawn avatars beside N pictures.

    Attributes:
        states: [N, 14].
        psnr_db: [N], on the face without its mouth.
    """

    states: Tensor
    psnr_db: Tensor

    def better_of(self, other: "PoseFit") -> "PoseFit":
        """For each picture the fit that is nearer to it."""
        better = other.psnr_db > self.psnr_db
        states = torch.where(better[:, None], other.states, self.states)
        return PoseFit(states, torch.maximum(self.psnr_db, other.psnr_db))


def _bounded(states: Tensor) -> Tensor:
    """States whose shares are within 0..1, as the renderer wants them."""
    bounded = states.clone()
    for name, (low, high) in _SHARES.items():
        bounded[:, STATE[name]] = states[:, STATE[name]].clamp(low, high)
    return bounded


def _compare(frames: Tensor, identity: AvatarIdentity, states: Tensor) -> tuple[PoseFit, Tensor, Tensor]:
    drawn = render(identity, states, frames.shape[-1])
    weights = face_weights(identity, states, frames.shape[-1])
    return PoseFit(states, weighted_psnr_db(frames, drawn, weights)), drawn, weights


def _step(frames: Tensor, identity: AvatarIdentity, states: Tensor, drawn: Tensor, weights: Tensor) -> Tensor:
    """One damped Gauss-Newton step of the pose towards the frames: new states [N, 14]."""
    names = list(_STEPS)
    columns = []
    for name in names:
        changed = states.clone()
        # towards the middle of what lids can do, and any way for a pose
        sign = torch.where(states[:, STATE[name]] > 0.5, -1.0, 1.0)
        changed[:, STATE[name]] += sign * _STEPS[name]
        difference = (render(identity, changed, frames.shape[-1]) - drawn) * sign.view(-1, 1, 1, 1)
        columns.append((difference * weights).flatten(1))
    jacobian = torch.stack(columns, 2)  # [N, pixels, P]
    residual = ((frames - drawn) * weights).flatten(1).unsqueeze(2)
    normal = jacobian.mT @ jacobian
    ridge = _DAMPING * normal.diagonal(dim1=1, dim2=2) + 1e-6
    move = torch.linalg.solve(normal + torch.diag_embed(ridge), jacobian.mT @ residual).squeeze(2)
    moved = states.clone()
    for place, name in enumerate(names):
        # the picture is near to linear in a pose only over a few steps
        moved[:, STATE[name]] += move[:, place].clamp(-3, 3) * _STEPS[name]
    return _bounded(moved)


def _fit(frames: Tensor, identity: AvatarIdentity, states: Tensor) -> PoseFit:
    """Steps at one size of the pictures, each kept where it helps."""
    best, drawn, weights = _compare(frames, identity, states)
    for _ in range(STEPS_A_SIZE):
        moved = _step(frames, identity, best.states, drawn, weights)
        tried, tried_drawn, tried_weights = _compare(frames, identity, moved)
        better = tried.psnr_db > best.psnr_db
        best = best.better_of(tried)
        picked = better.view(-1, 1, 1, 1)
        drawn, weights = torch.where(picked, tried_drawn, drawn), torch.where(picked, tried_weights, weights)
    return best


@torch.no_grad()
def fit_poses(frames: Tensor, identity: AvatarIdentity, detected: Tensor) -> PoseFit:
    """Refine detected states until the drawn avatars are as near to the pictures as they get.

    Goes from small pictures to the full size, since an eye that is off by its own width says nothing about
    which way to go.

    Args:
        frames: [N, 3, S, S] in 0..1, S even.
        identity: the N avatars to be drawn.
        detected: [N, 14] to start from. Pose, gaze, brows and lids are refined, the mouth is left alone.

    Returns:
        The nearest states met at full size, never worse than the detected ones.
    """
    start, _, _ = _compare(frames, identity, _bounded(detected))
    fit = start
    for factor in REDUCTIONS:
        fit = _fit(F.avg_pool2d(frames, factor), identity, fit.states)
    return start.better_of(fit)
