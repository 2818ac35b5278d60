"""What is measured of one talking clip, and the figures made of all clips."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError
from . import figures
from .avatars.identity import AvatarIdentity, draw_identities
from .avatars.renderer import render
from .avatars.state import STATE
from .detector import AvatarDetector
from .evaluation_set import EvaluationSet
from .face_areas import eye_weights, face_weights, off_mouth_weights
from .pose_fit import fit_poses

LAGS = tuple(range(-5, 6))
CANDIDATES = 8
_LOOKED_AT_EVERY = 10  # frames between those whose face is compared with drawn ones
_COARSE_FACTOR = 4
_IDENTIFICATION_SIZE_PX = 64
_IDENTIFICATION_REACH_PX = 2
_STRANGERS_SEED = 770_001
_ANGLES = [STATE["yaw"], STATE["pitch"], STATE["roll"]]


@dataclass(frozen=True)
class ClipMeasurement:
    """What was read of one clip of T frames.

    Attributes:
        states: what the detector reads [T, 14].
        differences: frame differences off the mouth [T - 1].
        eye_energy: gradient energy around the eyes, mean over the frames.
        face_psnr_db: PSNR of the face at the nearest pose, mean over the frames looked at.
        coarse_face_psnr_db: the same of pictures four times smaller.
        identified: share of the frames looked at whose face is nearer to the right avatar than to any of
            seven others before the same background and in the same clothes.
    """

    states: Tensor
    differences: Tensor
    eye_energy: float
    face_psnr_db: float
    coarse_face_psnr_db: float
    identified: float


def strangers(evaluation_set: EvaluationSet, clip: int) -> AvatarIdentity:
    """The seven avatars that a clip's own is told from, in its clothes and before its background."""
    generator = torch.Generator().manual_seed(_STRANGERS_SEED + clip)
    drawn = draw_identities(CANDIDATES - 1, generator)
    return drawn.with_background_and_clothes_of(evaluation_set.identities.select([clip]))


def identified(frames: Tensor, states: Tensor, evaluation_set: EvaluationSet, clip: int) -> float:
    """Share of frames [N, 3, S, S] with detected states [N, 14] that are taken for the right avatar of 8."""
    own = evaluation_set.identities.select([clip])
    others = strangers(evaluation_set, clip)
    size = _IDENTIFICATION_SIZE_PX
    small = F.interpolate(frames, (size, size), mode="area")
    scores = []
    for candidate in (own, *(others.select([place]) for place in range(CANDIDATES - 1))):
        repeated = candidate.repeat_interleave(len(frames))
        drawn, weights = render(repeated, states, size), face_weights(repeated, states, size)
        scores.append(figures.nearest_shift_psnr_db(small, drawn, weights, _IDENTIFICATION_REACH_PX))
    return float((torch.stack(scores).argmax(0) == 0).float().mean())


def measure_clip(
    frames: Tensor, evaluation_set: EvaluationSet, clip: int, detector: AvatarDetector
) -> ClipMeasurement:
    """Measure frames [T, 3, S, S] in 0..1 of a clip of the set.

    Raises:
        InputError: there are not T square frames.
    """
    if len(frames) != evaluation_set.frame_count or frames.shape[-1] != frames.shape[-2]:
        raise InputError(
            got=f"frames of shape {list(frames.shape)} for clip {clip}",
            allowed=f"[{evaluation_set.frame_count}, 3, S, S]",
            do="generate a square video as long as the clip's voice",
        )
    states = detector.detect(frames)
    size = frames.shape[-1]
    looked_at, looked_at_states = frames[::_LOOKED_AT_EVERY], states[::_LOOKED_AT_EVERY]
    own = evaluation_set.identities.select([clip]).repeat_interleave(len(looked_at))
    fit = fit_poses(looked_at, own, looked_at_states)
    drawn, weights = render(own, fit.states, size), face_weights(own, fit.states, size)
    coarse = figures.coarse_psnr_db(looked_at, drawn, weights, _COARSE_FACTOR)
    return ClipMeasurement(
        states=states,
        differences=figures.frame_differences(frames, off_mouth_weights(size)),
        eye_energy=float(figures.gradient_energy(frames, eye_weights(states, size)).mean()),
        face_psnr_db=float(fit.psnr_db.mean()),
        coarse_face_psnr_db=float(coarse.mean()),
        identified=identified(looked_at, looked_at_states, evaluation_set, clip),
    )


def _mouth_figures(states: Tensor, evaluation_set: EvaluationSet) -> dict[str, float]:
    opening, true_opening = states[..., STATE["open"]], evaluation_set.states[..., STATE["open"]]
    correlations = figures.lag_correlations(opening, true_opening, LAGS)
    result = {
        "mouth_opening_correlation": correlations[0],
        "mouth_opening_peak_offset_frames": float(figures.peak_lag(correlations)),
        "mouth_opening_mean_error": float((opening - true_opening).abs().mean()),
    }
    for name, column in (("mouth_rounding_correlation", "round"), ("mouth_width_correlation", "wide")):
        measured, truth = states[..., STATE[column]], evaluation_set.states[..., STATE[column]]
        result[name] = figures.lag_correlations(measured, truth, [0])[0]
    if len(evaluation_set) > 1:
        result["mouth_opening_correlation_other_voice"] = figures.other_clips_correlation(
            opening, true_opening
        )
    silence = figures.mean_where(opening.clamp(0, 1), evaluation_set.silent)
    if silence is not None:
        result["mouth_opening_in_silence"] = silence
    return result


class Evaluator:
    """Measures videos of a held-out set against the truth, which it measures once with the same detector."""

    def __init__(
        self,
        evaluation_set: EvaluationSet,
        detector: AvatarDetector,
        frames_per_clip: int,
        size_px: int = 128,
    ):
        """frames_per_clip: frames that the model generates at a time, which is where the seams are."""
        self.evaluation_set, self.detector = evaluation_set, detector
        self.size_px = size_px
        self._seams = figures.at_seams(evaluation_set.frame_count, frames_per_clip)
        if not self._seams.any() or self._seams.all():
            raise InputError(
                got=f"frames_per_clip {frames_per_clip}",
                allowed=f"2 to {evaluation_set.frame_count - 1}",
                do="give the number of frames that the model generates at a time",
            )
        self._truth = self._measure_clips(self.truth())

    def truth(self) -> Iterable[Tensor]:
        """The true videos, clip by clip [T, 3, S, S]."""
        return (self.evaluation_set.truth(clip, self.size_px) for clip in range(len(self.evaluation_set)))

    def truth_figures(self) -> dict[str, float]:
        """The figures of true renders: the ceiling that the detector sets."""
        return self._figures(self._truth)

    def measure(self, clips: Iterable[Tensor]) -> dict[str, float]:
        """Figures of one video [T, 3, S, S] for each clip of the set, in its order.

        Clips may come from a generator (one is held at a time) or as one tensor [B, T, 3, S, S].

        Raises:
            InputError: a video is not as long as its clip, or there are too few.
        """
        return self._figures(self._measure_clips(clips))

    def _measure_clips(self, clips: Iterable[Tensor]) -> list[ClipMeasurement]:
        measured = [
            measure_clip(frames, self.evaluation_set, clip, self.detector)
            for clip, frames in enumerate(clips)
        ]
        if len(measured) != len(self.evaluation_set):
            raise InputError(
                got=f"{len(measured)} videos",
                allowed=str(len(self.evaluation_set)),
                do="give one for each clip",
            )
        return measured

    def _figures(self, measured: list[ClipMeasurement]) -> dict[str, float]:
        states, true_states = (torch.stack([row.states for row in rows]) for rows in (measured, self._truth))
        differences, true_differences = (
            torch.stack([row.differences for row in rows]) for rows in (measured, self._truth)
        )
        inside = ~self._seams
        spread, true_spread = (figures.yaw_spread(rows[..., STATE["yaw"]]) for rows in (states, true_states))
        velocity, true_velocity = (
            figures.head_velocity(rows[..., _ANGLES].mT) for rows in (states, true_states)
        )
        eyes = [row.eye_energy / truth.eye_energy for row, truth in zip(measured, self._truth, strict=True)]
        return {
            **_mouth_figures(states, self.evaluation_set),
            "frame_difference_off_mouth_ratio": float(
                differences[:, inside].mean() / true_differences[:, inside].mean()
            ),
            "seam_ratio": figures.seam_ratio(differences, self._seams),
            "face_psnr_nearest_pose_db": _mean([row.face_psnr_db for row in measured]),
            "face_psnr_nearest_pose_at_quarter_size_db": _mean([row.coarse_face_psnr_db for row in measured]),
            "identified_of_8": _mean([row.identified for row in measured]),
            "eye_gradient_ratio": _mean(eyes),
            "yaw_spread_ratio": float(spread.mean() / true_spread.mean()),
            "head_velocity_ratio": velocity / true_velocity,
            "head_velocity_degrees_per_frame": velocity,
        }


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
