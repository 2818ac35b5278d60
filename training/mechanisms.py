"""What each mechanism of the method does in a model: its videos with one condition changed or left out.

As the paper's tables of ablations, by the figures of the held-out set.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError
from . import figures
from .avatars.head_pose import HeadPose
from .avatars.state import STATE
from .detector import AvatarDetector
from .evaluation_set import EvaluationSet
from .generation import PARTS, WITHOUT_MOTION_FRAMES, Generate, Part, Region
from .measure import Evaluator

WHOLE = "whole"
_ANGLES = [STATE["yaw"], STATE["pitch"], STATE["roll"]]


@dataclass(frozen=True)
class MechanismSettings:
    """What is asked of the model.

    Attributes:
        speeds: head speeds in degrees per frame, rising.
        move: how far the face region is moved to either side, in shares of the picture.
        widening: by how much the region is made wider and taller.
        seed: of all these videos.
    """

    speeds: tuple[float, ...] = (0.2, 0.6, 1.0)
    move: float = 0.1
    widening: float = 1.4
    seed: int = 0

    def __post_init__(self) -> None:
        rising = len(self.speeds) > 1 and list(self.speeds) == sorted(set(self.speeds))
        if not rising or not 0 < self.move < 1 or self.widening <= 1:
            raise InputError(
                got=f"speeds {self.speeds}, move {self.move:g}, widening {self.widening:g}",
                allowed="two or more rising speeds, a move above 0 and below 1, a widening above 1",
                do="change the settings of the mechanisms",
            )


def moved_region(region: Region, by: float) -> Region:
    """A region moved sideways (positive: right), as far as the picture lets it."""
    x0, y0, x1, y1 = region
    by = min(max(by, -x0), 1 - x1)
    return x0 + by, y0, x1 + by, y1


def widened_region(region: Region, factor: float) -> Region:
    """A region made wider and taller about its middle, cut at the picture's edges."""
    x0, y0, x1, y1 = region
    across, down = (factor - 1) / 2 * (x1 - x0), (factor - 1) / 2 * (y1 - y0)
    return max(0.0, x0 - across), max(0.0, y0 - down), min(1.0, x1 + across), min(1.0, y1 + down)


def face_path(states: Tensor) -> Tensor:
    """Where the middle of the head is in states [T, 14]: x and y in shares of the picture [2, T]."""
    pose = HeadPose.of(states)
    return 0.5 + 0.5 * torch.stack([pose.centre_x.flatten(), pose.centre_y.flatten()])


def _spread(path: Tensor) -> float:
    """How far from its mean the face is, of a path [2, T] without its jitter; shares of the picture."""
    return float(figures.smoothed(path).var(-1, correction=0).sum().sqrt())


class Mechanisms:
    """Generates the clips of a held-out set anew, with one thing changed each time."""

    def __init__(
        self,
        generate: Generate,
        evaluation_set: EvaluationSet,
        detector: AvatarDetector,
        frames_per_clip: int,
        size_px: int,
        settings: MechanismSettings,
    ):
        self.generate, self.clips, self.settings = generate, evaluation_set, settings
        self.detector, self.size_px = detector, size_px
        self.evaluator = Evaluator(evaluation_set, detector, frames_per_clip, size_px)

    @staticmethod
    def videos(settings: MechanismSettings) -> int:
        """How many videos of each clip `measure` asks for: whole, without a part, by speed and by region."""
        return 1 + len(PARTS) + len(settings.speeds) + 3

    def measure(self) -> dict[str, dict]:
        """JSON-able: "mechanisms" (a figure each) and "ablations" (figures by the part left out)."""
        spreads: list[float] = []
        ablations = {WHOLE: self.evaluator.measure(self._noting_spread(self._videos(), spreads))}
        for part in PARTS:
            ablations[part] = self.evaluator.measure(self._videos(without=part))
        seams = {part: ablations[part]["seam_ratio"] for part in WITHOUT_MOTION_FRAMES}
        joined = ablations[WHOLE]["seam_ratio"]
        mechanisms = {
            **self._speed_figures(),
            **self._region_figures(sum(spreads)),
            **{f"seam_ratio_without_{part}": ratio for part, ratio in seams.items()},
            **{f"seams_without_over_with_{part}": ratio / joined for part, ratio in seams.items()},
        }
        return {"mechanisms": mechanisms, "ablations": ablations}

    def _speed_figures(self) -> dict[str, float]:
        result = {}
        for speed in self.settings.speeds:
            angles = torch.stack([states[:, _ANGLES].mT for states in self._states(speed=speed)])
            result[f"head_velocity_at_speed_{speed:g}"] = figures.head_velocity(angles)
        slowest, *_, fastest = result.values()
        return {**result, "head_velocity_fastest_over_slowest": fastest / slowest}

    def _region_figures(self, usual_spread: float) -> dict[str, float]:
        """usual_spread: of the face in its own regions, summed over the clips."""
        regions = [self.clips.region(clip) for clip in range(len(self.clips))]
        left, right = ([moved_region(region, by) for region in regions] for by in self._moves())
        at_left, at_right = (
            torch.stack([face_path(states)[0].mean() for states in self._states(regions=moved)])
            for moved in (left, right)
        )
        moved = sum(there[0] - here[0] for here, there in zip(left, right, strict=True))
        wide = [widened_region(region, self.settings.widening) for region in regions]
        wide_spread = sum(_spread(face_path(states)) for states in self._states(regions=wide))
        return {
            "face_follows_region": float((at_right - at_left).sum()) / moved,
            "movement_in_widened_region": wide_spread / usual_spread,
        }

    def _noting_spread(self, videos: Iterator[Tensor], spreads: list[float]) -> Iterator[Tensor]:
        """Passes videos on, and takes down how far the face is from its mean in each."""
        for frames in videos:
            spreads.append(_spread(face_path(self.detector.detect(frames))))
            yield frames

    def _moves(self) -> tuple[float, float]:
        return -self.settings.move, self.settings.move

    def _states(self, *, speed: float | None = None, regions: list[Region] | None = None) -> Iterator[Tensor]:
        """What the detector reads of each clip [T, 14]."""
        return (self.detector.detect(frames) for frames in self._videos(speed=speed, regions=regions))

    def _videos(
        self,
        *,
        speed: float | None = None,
        regions: list[Region] | None = None,
        without: Part | None = None,
    ) -> Iterator[Tensor]:
        """Videos of all clips [T, 3, S, S]; what is not given is as in the clip."""
        for clip in range(len(self.clips)):
            frames = self.generate(
                portrait_pixels=self.clips.portrait(clip, self.size_px),
                samples=self.clips.voice(clip),
                sample_rate_hz=self.clips.sample_rate_hz,
                region=self.clips.region(clip) if regions is None else regions[clip],
                speed=self.clips.speed(clip) if speed is None else speed,
                seed=self.settings.seed,
                without=without,
            )
            yield frames.float().clamp(0, 1)
