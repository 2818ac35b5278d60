"""How a long video holds up: its last stretch against its first, read by the detector of the held-out set."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from ..steps.resampling import in_blocks
from .avatars.state import STATE
from .detector import AvatarDetector
from .evaluation_set import EvaluationSet
from .face_areas import face_weights
from .figures import lag_correlations, peak_lag
from .measure import LAGS, ClipMeasurement, measure_clip

LONGEST_STRETCH_S = 60.0


@dataclass(frozen=True)
class Stretch:
    """What was read of a part of a long video.

    Attributes:
        face_psnr_db: likeness of the face at the nearest pose.
        identified_of_8: share of frames whose face is nearer to the right avatar than to seven others.
        eye_gradient: gradient energy around the eyes, the measure of sharpness.
        mouth_correlation: of the mouth's opening with the truth, over all of the stretch.
        mouth_offset_frames: the lag of the largest such correlation.
        red, green, blue: mean colour of the face, 0..255.
    """

    face_psnr_db: float
    identified_of_8: float
    eye_gradient: float
    mouth_correlation: float
    mouth_offset_frames: int
    red: float
    green: float
    blue: float


@dataclass(frozen=True, eq=False)
class LongRun:
    """One avatar of the held-out set that says all of the set's voices, over and over.

    The last stretch says what the first said, so that the two can be compared.

    Attributes:
        voices: the held-out set, every clip of it with that one avatar.
        parts: how many clips long the video is.
        parts_of_a_stretch: clips of the first and of the last stretch.
    """

    voices: EvaluationSet
    parts: int
    parts_of_a_stretch: int

    @classmethod
    def of(
        cls,
        evaluation_set: EvaluationSet,
        minutes: float,
        avatar: int = 0,
        stretch_s: float = LONGEST_STRETCH_S,
    ) -> "LongRun":
        """A run of about so many minutes, in whole clips of the set.

        The first and the last stretch are `stretch_s` long, or a quarter of a shorter run.

        Raises:
            InputError: fewer than four clips of the set, or no such avatar.
        """
        seconds = evaluation_set.samples.shape[1] / evaluation_set.sample_rate_hz
        parts = round(60 * minutes / seconds)
        if parts < 4 or not 0 <= avatar < len(evaluation_set):
            raise InputError(
                got=f"{minutes:g} minutes of avatar {avatar}",
                allowed=f"{4 * seconds / 60:.2g} minutes or more, and avatars 0 to {len(evaluation_set) - 1}",
                do="measure a longer run",
            )
        same = [avatar] * len(evaluation_set)
        voices = replace(
            evaluation_set,
            identities=evaluation_set.identities.select(same),
            portrait_states=evaluation_set.portrait_states[same],
        )
        return cls(voices, parts, max(1, min(round(stretch_s / seconds), parts // 4)))

    @property
    def samples(self) -> Tensor:
        """What is said, float32 [N]."""
        return torch.cat([self.voices.voice(self.clip_of(part)) for part in range(self.parts)])

    def clip_of(self, part: int) -> int:
        """The clip of the set that a part says."""
        last = self.parts - self.parts_of_a_stretch
        return (part - last if part >= last else part) % len(self.voices)

    def measure(self, frames: Iterable[Tensor], detector: AvatarDetector) -> dict[str, Any]:
        """The first and the last stretch of a video, and the last minus the first.

        Args:
            frames: of the whole video, clip by clip [F, 3, S, S] in 0..1; one part of the set is held.
            detector: reads them.

        Raises:
            InputError: the video is shorter than the run.
        """
        length, reach = self.voices.frame_count, self.parts_of_a_stretch
        read: dict[int, tuple[ClipMeasurement, Tensor]] = {}
        for part, pixels in enumerate(in_blocks((clip.cpu() for clip in frames), length)):
            if (part < reach or part >= self.parts - reach) and len(pixels) == length:
                measured = measure_clip(pixels, self.voices, self.clip_of(part), detector)
                read[part] = measured, self._face_colour(pixels, measured.states)
        if len(read) < 2 * reach:
            raise InputError(
                got=f"a video of which {len(read)} of {2 * reach} parts could be measured",
                allowed=f"{self.parts * length} frames",
                do="generate the whole video",
            )
        first = self._stretch({part: read[part] for part in range(reach)})
        last = self._stretch({part: read[part] for part in range(self.parts - reach, self.parts)})
        change = {name: getattr(last, name) - value for name, value in asdict(first).items()}
        return {"first": asdict(first), "last": asdict(last), "change": change}

    def _face_colour(self, frames: Tensor, states: Tensor) -> Tensor:
        """Mean colour of the face without its mouth, 0..255: [3]."""
        identity = self.voices.identities.select([0]).repeat_interleave(len(frames))
        weights = face_weights(identity, states, frames.shape[-1])
        return 255 * (frames * weights).sum((0, 2, 3)) / weights.sum()

    def _stretch(self, read: dict[int, tuple[ClipMeasurement, Tensor]]) -> Stretch:
        rows = [row for row, _ in read.values()]
        opening = torch.stack([row.states[:, STATE["open"]] for row in rows])
        clips = [self.clip_of(part) for part in read]
        correlations = lag_correlations(opening, self.voices.states[clips][..., STATE["open"]], LAGS)
        colour = torch.stack([face for _, face in read.values()]).mean(0).tolist()
        return Stretch(
            face_psnr_db=_mean([row.face_psnr_db for row in rows]),
            identified_of_8=_mean([row.identified for row in rows]),
            eye_gradient=_mean([row.eye_energy for row in rows]),
            mouth_correlation=correlations[0],
            mouth_offset_frames=peak_lag(correlations),
            red=colour[0],
            green=colour[1],
            blue=colour[2],
        )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
