"""A video in segments: each an H.264 file of its own, joined at the end without encoding again.

Every segment starts with a key frame and depends on no other, so a run that was cut goes on at the segment
that was not finished, and the joined file is the same as that of a run that was not cut. A segment is at
most as long as x264 leaves between two key frames anyway, so the joined file is no larger for it.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import torch
from av.packet import Packet

from ..errors import InputError
from .marking.marks import Marks
from .timeline import Timeline
from .video_file import cannot_write
from .video_streams import (
    PictureFormat,
    PictureStream,
    SoundStream,
    check_metadata,
    check_timeline,
    frame_bytes,
    open_video,
)
from .voice import VoiceSource
from .whole_file import whole_file

KEY_FRAME_DISTANCE = 250
"""Frames from one key frame to the next where x264 is free to choose."""


def clips_per_segment(frames_per_clip: int) -> int:
    """Clips of a segment: as many as x264 leaves between two key frames, at least one."""
    return max(1, KEY_FRAME_DISTANCE // frames_per_clip)


class SegmentWriter:
    """Writes the frames of one segment; use it in a `with` statement.

    What stands in the file after an exception is worth nothing; whoever gave the path removes it.
    """

    def __init__(
        self,
        path: Path,
        fps: Fraction,
        picture: PictureFormat,
        first_frame: int,
        marks: Marks | None = None,
    ):
        """first_frame: which frame of the video the segment starts with; marks: put into every frame."""
        self._path, self._fps, self._picture, self._next = path, fps, picture, first_frame
        self._marks = marks
        self._pen = None if marks is None else marks.pen()

    def __enter__(self) -> "SegmentWriter":
        self._container = av.open(str(self._path.absolute()), "w", format="mp4")
        self._pictures = PictureStream(self._container, self._fps, self._picture)
        return self

    def write(self, frames: torch.Tensor) -> None:
        """Append frames [N, 3, H, W], RGB, 0 to 1 (values beyond are cut).

        Raises:
            InputError: frames of another size, or with values that are not finite.
            OSError: the file cannot grow.
        """
        self._picture.check_frames(frames, self._next)
        if self._marks is not None:
            frames = self._marks.into_frames(frames, self._next, float(self._fps), self._pen)
        for pixels in frame_bytes(frames):
            self._pictures.write(pixels)
        self._next += len(frames)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            with suppress(OSError, ValueError):  # what went wrong first is on its way to the caller
                self._container.close()
            return
        self._pictures.finish()
        self._container.close()


def join_segments(
    path: Path,
    segments: Sequence[Path],
    timeline: Timeline,
    voice: VoiceSource,
    metadata: dict[str, str] | None = None,
) -> None:
    """Write one video file of segments and the voice; the frames are copied as they are.

    Args:
        path: the file to write, ending in .mp4 or .mov.
        segments: written by `SegmentWriter` with one and the same picture format, in their order.
        timeline: that of the voice.
        voice: the sound. A rate that AAC does not have is resampled to 48 kHz.
        metadata: plain text to store, under keys of METADATA_KEYS and GRAPH_KEYS.

    Raises:
        InputError: segments that do not hold the timeline's frames, a timeline of another voice, or metadata
            that cannot be.
        OSError: the file cannot be written, or a segment cannot be read.
    """
    check_metadata(metadata or {})
    check_timeline(timeline, voice)
    with open_video(path, path.suffix, voice, metadata or {}) as container:
        with av.open(str(segments[0])) as first:
            pictures = container.add_stream_from_template(first.streams.video[0])
        sound = SoundStream(container, voice, timeline)
        written = 0
        for packet in _packets(segments, timeline.fps):
            packet.stream = pictures
            container.mux(packet)
            written += 1
            sound.write_until(written)
        if written != timeline.frame_count:
            raise InputError(
                got=f"{len(segments)} segments with {written} frames",
                allowed=f"the {timeline.frame_count} frames of the timeline",
                do="start the run afresh",
            )
        sound.finish()


def write_joined(
    output: Path,
    segments: Sequence[Path],
    timeline: Timeline,
    voice: VoiceSource,
    marks: Marks,
    metadata: dict[str, str] | None = None,
) -> None:
    """Write the marked video file under its name once it is whole; for the arguments see `join_segments`.

    Raises:
        InputError: as `join_segments`, or the file cannot be written or signed.
    """
    try:
        with whole_file(output) as part:
            join_segments(part, segments, timeline, voice, {**(metadata or {}), **marks.metadata})
            marks.into_file(part, output.name)
    except OSError as error:
        raise cannot_write(output, error) from error


def _packets(segments: Sequence[Path], fps: Fraction) -> Iterator[Packet]:
    """The encoded frames of all segments, with the times that they have in the whole video."""
    count, delay = 0, None
    for segment in segments:
        first_frame = count
        with av.open(str(segment)) as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.pts is None or packet.dts is None or packet.time_base is None:
                    continue  # the empty packet at a file's end
                frame, decoded = (round(at * packet.time_base * fps) for at in (packet.pts, packet.dts))
                # Frames are decoded a little before they are shown, all as early as those of the first
                # segment: a last one of a single frame has no such delay of its own.
                delay = frame - decoded if delay is None else delay
                packet.pts, packet.dts = first_frame + frame, count - delay
                packet.duration, packet.time_base = 1, 1 / fps
                count += 1
                yield packet
