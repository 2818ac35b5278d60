"""Frames and voice to a video file, frame by frame, in constant memory."""

import os
import uuid
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
import torch
from av.video.reformatter import ColorRange, Colorspace

from ..errors import InputError
from .marking.marks import Marks
from .timeline import Timeline
from .video_streams import (
    CONTAINERS,
    GRAPH_KEYS,
    METADATA_KEYS,
    PictureFormat,
    PictureStream,
    SoundStream,
    check_metadata,
    check_timeline,
    frame_bytes,
    open_video,
)
from .voice import Voice, VoiceSource, read_voice

__all__ = [
    "CONTAINERS",
    "GRAPH_KEYS",
    "METADATA_KEYS",
    "RGB_COLOURS",
    "Video",
    "VideoWriter",
    "cannot_write",
    "check_output",
    "read_video",
]

# PyAV 14 turns yuv into rgb rightly only when it is told all of this.
RGB_COLOURS = {
    "src_colorspace": Colorspace.ITU709,
    "src_color_range": ColorRange.MPEG,
    "dst_color_range": ColorRange.JPEG,
}


class VideoWriter:
    """Writes one mp4 or mov file (H.264 yuv420p and AAC); use it in a `with` statement.

    The file appears under its name when the last frame is in and the block ends well. After any exception,
    Ctrl-C included, nothing is left behind, and a file that had the name before is untouched.
    """

    def __init__(
        self,
        path: str | Path,
        timeline: Timeline,
        voice: VoiceSource,
        width_px: int,
        height_px: int,
        crf: int = 18,
        preset: str = "medium",
        metadata: dict[str, str] | None = None,
        marks: Marks | None = None,
    ):
        """Check the request; nothing is written before the `with` block starts.

        Args:
            path: the file to make, ending in .mp4 or .mov, in an existing folder.
            timeline: that of the voice; says how many frames will come and which samples sound with each.
            voice: the sound. A rate that AAC does not have is resampled to 48 kHz.
            width_px, height_px: size of the video, both even.
            crf: quality of H.264: 0 is lossless, 18 looks so, 51 is worst.
            preset: x264's preset, from ultrafast to veryslow.
            metadata: plain text to store in the file, under keys of METADATA_KEYS and GRAPH_KEYS.
            marks: put into every frame and, once it is whole, into the file; None: none.

        Raises:
            InputError: a path, size, crf or metadata key that cannot be, or a timeline of another voice.
        """
        self._path = Path(path)
        check_output(self._path)
        self._picture = PictureFormat(width_px, height_px, crf, preset)
        self._marks = marks
        self._pen = None if marks is None else marks.pen()
        metadata = {**(metadata or {}), **(marks.metadata if marks else {})}
        check_metadata(metadata)
        check_timeline(timeline, voice)
        self._timeline = timeline
        self._voice = voice
        self._metadata = metadata
        self._part = self._path.with_name(f".{self._path.name}-{uuid.uuid4().hex[:8]}.part")
        self._undo, self._written = ExitStack(), 0

    def __enter__(self) -> "VideoWriter":
        try:
            self._open()
        except BaseException as error:
            self._discard()
            if isinstance(error, OSError):
                raise cannot_write(self._path, error) from error
            raise
        return self

    def _open(self) -> None:
        self._undo.callback(self._part.unlink, missing_ok=True)
        self._container = open_video(self._part, self._path.suffix, self._voice, self._metadata)
        self._undo.callback(self._container.close)
        self._pictures = PictureStream(self._container, self._timeline.fps, self._picture)
        self._sound = SoundStream(self._container, self._voice, self._timeline)

    def write(self, frames: torch.Tensor) -> None:
        """Append frames, and the samples that sound with them.

        Args:
            frames: [N, 3, H, W], RGB, 0 to 1 (values beyond are cut).

        Raises:
            InputError: frames of another shape or with values that are not finite, more frames than the
                timeline has, or a file that cannot grow.
        """
        self._picture.check_frames(frames, self._written)
        if self._written + len(frames) > self._timeline.frame_count:
            raise InputError(
                got=f"{self._written + len(frames)} frames",
                allowed=f"the {self._timeline.frame_count} frames of the timeline",
                do="keep only `kept_frames` of the last clip",
            )
        if self._marks is not None:
            frames = self._marks.into_frames(frames, self._written, float(self._timeline.fps), self._pen)
        try:
            for pixels in frame_bytes(frames):
                self._pictures.write(pixels)
                self._written += 1
                self._sound.write_until(self._written)
        except OSError as error:
            raise cannot_write(self._path, error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._discard()
            return
        try:
            self._finish()
        except BaseException as failure:
            self._discard()
            if isinstance(failure, OSError):
                raise cannot_write(self._path, failure) from failure
            raise

    def _finish(self) -> None:
        if self._written < self._timeline.frame_count:
            raise InputError(
                got=f"{self._written} frames",
                allowed=f"all {self._timeline.frame_count} frames of the timeline",
                do="write every clip before the file is closed",
            )
        self._pictures.finish()
        self._sound.finish()
        self._container.close()
        if self._marks is not None:
            self._marks.into_file(self._part, self._path.name)
        os.replace(self._part, self._path)

    def _discard(self) -> None:
        """Close and remove the unfinished file; what went wrong is already on its way to the caller."""
        with suppress(OSError, ValueError):
            self._undo.close()


def cannot_write(path: Path, error: OSError) -> InputError:
    """What to raise when a video cannot be written."""
    return InputError(
        got=f"{path} cannot be written: {error.strerror or error}",
        allowed="a folder that can be written to, with room for the video",
        do="choose another output folder, or free space on the disk",
    )


def check_output(path: Path) -> None:
    """Raise InputError unless `path` can be the name of a video in a folder that exists."""
    if path.suffix.lower() not in CONTAINERS:
        name = f"{path.stem or 'out'}.mp4"
        allowed = f"a file name ending in {' or '.join(CONTAINERS)}"
        raise InputError(got=f"output {path}", allowed=allowed, do=f"use {name}")
    if os.path.isdir(path):
        raise InputError(got=f"output {path}, a folder", allowed="a file name", do="choose another name")
    if not os.path.isdir(path.parent):
        raise InputError(
            got=f"output folder {path.parent}, which is not there",
            allowed="a folder that exists",
            do="make the folder first, or choose another",
        )


@dataclass(frozen=True, eq=False)
class Video:
    """A video read back.

    Attributes:
        frames: [N, H, W, 3] uint8, RGB.
        fps: frame rate.
        voice: its sound.
        metadata: plain metadata of the file.
    """

    frames: np.ndarray
    fps: Fraction
    voice: Voice
    metadata: dict[str, str]


def read_video(path: str | Path) -> Video:
    """Read a short video whole, for tests and evaluation.

    Raises:
        InputError: no video, or no sound (see `read_voice`).
    """
    voice = read_voice(path)
    with av.open(str(path)) as container:
        if not container.streams.video:
            raise InputError(got=f"{path}: no pictures", allowed="a video with sound", do="check the path")
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24", **RGB_COLOURS) for frame in container.decode(stream)]
        fps = stream.average_rate or Fraction(0)
        return Video(np.stack(frames), fps, voice, dict(container.metadata))
