"""Seconds, samples, frames and clips: the only arithmetic of its kind in the project."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from ..errors import InputError

FrameRate = Fraction | float | str
"""What a frame rate may be given as: 25, 29.97, Fraction(30000, 1001) or "30000/1001"."""

MIN_FPS, MAX_FPS = 1, 240
_NTSC_RATES = [Fraction(nominal * 1000, 1001) for nominal in (24, 30, 48, 60, 120)]
# 23.98 and 29.97 are the usual ways to write the NTSC rates; the farther one is 0.004 off.
_NTSC_TOLERANCE = Fraction(5, 1000)
# mp4 stores a rate as two 32-bit integers; every rate in use has a far smaller denominator than this.
_MAX_DENOMINATOR = 1001


def parse_fps(fps: FrameRate) -> Fraction:
    """Give the exact frame rate meant by a number or text; 29.97 means 30000/1001.

    Raises:
        InputError: not a number, or outside MIN_FPS..MAX_FPS.
    """
    allowed = f"a frame rate from {MIN_FPS} to {MAX_FPS}, such as 25, 29.97 or 30000/1001"
    try:
        exact = Fraction(fps)
    except (ValueError, OverflowError, ZeroDivisionError, TypeError):
        raise InputError(got=f"fps {fps!r}", allowed=allowed, do="set fps, for example to 25") from None
    if not MIN_FPS <= exact <= MAX_FPS:
        raise InputError(got=f"fps {fps}", allowed=allowed, do="set fps, for example to 25")
    if exact.denominator == 1 or isinstance(fps, Fraction):
        return exact
    for ntsc in _NTSC_RATES:
        if abs(exact - ntsc) < _NTSC_TOLERANCE:
            return ntsc
    return exact.limit_denominator(_MAX_DENOMINATOR)


def sample_at_frame(frame: int, sample_rate_hz: int, fps: Fraction) -> int:
    """Index of the first sample that sounds with a frame; exact, so no drift at any length."""
    return round(frame * sample_rate_hz / fps)


@dataclass(frozen=True)
class ClipSpan:
    """One clip of the video.

    Attributes:
        first_frame: its first frame, counted from the start of the video.
        frame_count: frames that are generated; the same for every clip.
        kept_frames: frames that go into the video; fewer than `frame_count` in the last clip only.
    """

    first_frame: int
    frame_count: int
    kept_frames: int


@dataclass(frozen=True, init=False)
class Timeline:
    """The video that belongs to a voice: as long as the voice, rounded up to whole frames.

    The last clip is generated in full and cut, so the end of the voice is never dropped.

    Attributes:
        sample_count: samples of the voice.
        sample_rate_hz: its sample rate.
        fps: frames per second of the video, exact.
        frames_per_clip: new frames that one clip generates (F of the paper).
    """

    sample_count: int
    sample_rate_hz: int
    fps: Fraction
    frames_per_clip: int

    # Written by hand, so that any form of frame rate may be given while `fps` always reads as a Fraction.
    def __init__(self, sample_count: int, sample_rate_hz: int, fps: FrameRate, frames_per_clip: int):
        """Raises InputError: a count or rate below 1, or an fps that `parse_fps` refuses."""
        counts = {
            "sample_count": sample_count,
            "sample_rate_hz": sample_rate_hz,
            "frames_per_clip": frames_per_clip,
        }
        for name, value in counts.items():
            if value < 1:
                raise InputError(got=f"{name} {value}", allowed="1 or more", do=f"set {name} to 1 or more")
            object.__setattr__(self, name, value)
        object.__setattr__(self, "fps", parse_fps(fps))

    def with_clips_of(self, frame_count: int) -> "Timeline":
        """The same video, generated in clips of another length."""
        return Timeline(self.sample_count, self.sample_rate_hz, self.fps, frame_count)

    @property
    def frame_count(self) -> int:
        """Frames of the video: the fewest that last as long as the voice."""
        return math.ceil(self.sample_count * self.fps / self.sample_rate_hz)

    @property
    def clip_count(self) -> int:
        """Clips that are generated."""
        return math.ceil(self.frame_count / self.frames_per_clip)

    @property
    def padded_frame_count(self) -> int:
        """Frames that are generated, those that are cut off the last clip included."""
        return self.clip_count * self.frames_per_clip

    @property
    def duration_s(self) -> float:
        """Length of the video in seconds."""
        return float(self.frame_count / self.fps)

    def time_of_frame_s(self, frame: int) -> float:
        """When a frame is shown, in seconds from the start; frames of the padded tail included."""
        return float(frame / self.fps)

    def samples_of_frame(self, frame: int) -> tuple[int, int]:
        """First and one-past-last sample that sound with a frame.

        The spans of all frames lie end to end and cover the voice exactly: the last frame's span ends with
        the voice, and may be shorter than a frame lasts.

        Raises:
            IndexError: no such frame.
        """
        if not 0 <= frame < self.frame_count:
            raise IndexError(f"frame {frame} of a video of {self.frame_count} frames")
        start = sample_at_frame(frame, self.sample_rate_hz, self.fps)
        end = sample_at_frame(frame + 1, self.sample_rate_hz, self.fps)
        return min(start, self.sample_count), min(end, self.sample_count)

    def clip(self, index: int) -> ClipSpan:
        """The clip of this index, counted from 0.

        Raises:
            IndexError: no such clip.
        """
        if not 0 <= index < self.clip_count:
            raise IndexError(f"clip {index} of {self.clip_count}")
        first_frame = index * self.frames_per_clip
        kept_frames = min(self.frames_per_clip, self.frame_count - first_frame)
        return ClipSpan(first_frame, self.frames_per_clip, kept_frames)

    def clips(self) -> Iterator[ClipSpan]:
        """All clips, in order."""
        return (self.clip(index) for index in range(self.clip_count))
