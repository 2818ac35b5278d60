"""Frames and voice to a video file, frame by frame, in constant memory."""

import logging
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
from .timeline import Timeline, sample_at_frame
from .voice import Voice, read_voice, resample

log = logging.getLogger(__name__)

METADATA_KEYS = ("title", "artist", "comment", "description", "synopsis", "copyright", "date", "genre")
"""The keys of plain metadata that an mp4 file keeps."""
GRAPH_KEYS = ("prompt", "workflow")
"""The keys under which ComfyUI looks for the graph that made a file."""
CONTAINERS = {".mp4": "mp4", ".mov": "mov"}
"""Ends of file names, and FFmpeg's names of the formats."""

_AAC_RATES_HZ = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_AAC_FALLBACK_HZ = 48000
_AAC_BITS_PER_S = 128_000
_BT709 = 1  # the number of BT.709 for primaries and transfer in H.264, ITU-T H.273


class VideoWriter:
    """Writes one mp4 or mov file (H.264 yuv420p and AAC); use it in a `with` statement.

    The file appears under its name when the last frame is in and the block ends well. After any exception,
    Ctrl-C included, nothing is left behind, and a file that had the name before is untouched.
    """

    def __init__(
        self,
        path: str | Path,
        timeline: Timeline,
        voice: Voice,
        width_px: int,
        height_px: int,
        crf: int = 18,
        preset: str = "medium",
        metadata: dict[str, str] | None = None,
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

        Raises:
            InputError: a path, size, crf or metadata key that cannot be, or a timeline of another voice.
        """
        self._path = Path(path)
        check_output(self._path)
        _check_settings(width_px, height_px, crf, metadata or {})
        if (timeline.sample_count, timeline.sample_rate_hz) != (voice.samples.numel(), voice.sample_rate_hz):
            raise InputError(
                got=f"a timeline of {timeline.sample_count} samples at {timeline.sample_rate_hz} Hz "
                f"for a voice of {voice.samples.numel()} at {voice.sample_rate_hz} Hz",
                allowed="the timeline of this very voice",
                do="make the timeline from the voice that goes into the file",
            )
        self._timeline, self._voice, self._size = timeline, voice, (width_px, height_px)
        self._crf, self._preset, self._metadata = crf, preset, dict(metadata or {})
        self._part = self._path.with_name(f".{self._path.name}-{uuid.uuid4().hex[:8]}.part")
        self._undo, self._written = ExitStack(), 0

    def __enter__(self) -> "VideoWriter":
        try:
            self._open()
        except BaseException as error:
            self._discard()
            if isinstance(error, OSError):
                raise self._cannot_write(error) from error
            raise
        return self

    def _open(self) -> None:
        voice = self._voice
        self._audio_rate_hz = voice.sample_rate_hz
        self._samples = voice.samples
        if voice.sample_rate_hz not in _AAC_RATES_HZ:
            log.info(
                "the video's sound is resampled from %d to %d Hz", voice.sample_rate_hz, _AAC_FALLBACK_HZ
            )
            self._audio_rate_hz = _AAC_FALLBACK_HZ
            self._samples = resample(voice.samples, voice.sample_rate_hz, _AAC_FALLBACK_HZ)
        # mp4's clock ticks once a sample: at its usual 1 ms the stored length of the sound would be rounded.
        # Only as tags of its own does mp4 keep keys like "workflow".
        flags = "faststart+use_metadata_tags" if set(GRAPH_KEYS) & set(self._metadata) else "faststart"
        options = {"movflags": flags, "movie_timescale": str(self._audio_rate_hz)}
        self._undo.callback(self._part.unlink, missing_ok=True)
        kind = CONTAINERS[self._path.suffix.lower()]
        self._container = av.open(str(self._part.absolute()), "w", format=kind, options=options)
        self._undo.callback(self._container.close)
        self._container.metadata.update(self._metadata)
        fps = self._timeline.fps
        self._video = self._container.add_stream(
            "libx264", rate=fps, options={"crf": str(self._crf), "preset": self._preset}
        )
        self._video.width, self._video.height = self._size
        self._video.pix_fmt = "yuv420p"
        context = self._video.codec_context
        context.time_base = 1 / fps
        # Without these tags players guess the colours from the picture's size.
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        context.color_primaries = context.color_trc = _BT709
        self._audio = self._container.add_stream("aac", rate=self._audio_rate_hz, layout="mono")
        self._audio.codec_context.bit_rate = _AAC_BITS_PER_S
        self._audio.codec_context.time_base = Fraction(1, self._audio_rate_hz)

    def write(self, frames: torch.Tensor) -> None:
        """Append frames, and the samples that sound with them.

        Args:
            frames: [N, 3, H, W], RGB, 0 to 1 (values beyond are cut).

        Raises:
            InputError: frames of another shape or with values that are not finite, more frames than the
                timeline has, or a file that cannot grow.
        """
        self._check_frames(frames)
        rgb = (frames.detach().float().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        try:
            for pixels in rgb:
                self._write_frame(np.ascontiguousarray(pixels))
        except OSError as error:
            raise self._cannot_write(error) from error

    def _check_frames(self, frames: torch.Tensor) -> None:
        width_px, height_px = self._size
        if frames.ndim != 4 or tuple(frames.shape[1:]) != (3, height_px, width_px):
            raise InputError(
                got=f"frames of shape {tuple(frames.shape)}",
                allowed=f"[N, 3, {height_px}, {width_px}]",
                do="decode frames at the size of the video",
            )
        if not bool(frames.isfinite().all()):
            raise InputError(
                got=f"NaN or infinite pixels after frame {self._written}",
                allowed="finite pixels",
                do="run the model in float32, or with other settings: it broke down",
            )
        if self._written + len(frames) > self._timeline.frame_count:
            raise InputError(
                got=f"{self._written + len(frames)} frames",
                allowed=f"the {self._timeline.frame_count} frames of the timeline",
                do="keep only `kept_frames` of the last clip",
            )

    def _write_frame(self, pixels: np.ndarray) -> None:
        picture = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        picture.pts, picture.time_base = self._written, 1 / self._timeline.fps
        self._container.mux(self._video.encode(picture))
        start = sample_at_frame(self._written, self._audio_rate_hz, self._timeline.fps)
        self._written += 1
        end = sample_at_frame(self._written, self._audio_rate_hz, self._timeline.fps)
        if self._written == self._timeline.frame_count:
            end = len(self._samples)
        samples = self._samples[start:end].detach().float().cpu().numpy()
        if len(samples):
            sound = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(samples[None]), format="fltp", layout="mono"
            )
            sound.sample_rate, sound.pts = self._audio_rate_hz, start
            sound.time_base = Fraction(1, self._audio_rate_hz)
            self._container.mux(self._audio.encode(sound))

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
                raise self._cannot_write(failure) from failure
            raise

    def _finish(self) -> None:
        if self._written < self._timeline.frame_count:
            raise InputError(
                got=f"{self._written} frames",
                allowed=f"all {self._timeline.frame_count} frames of the timeline",
                do="write every clip before the file is closed",
            )
        self._container.mux(self._video.encode(None))
        self._container.mux(self._audio.encode(None))
        self._container.close()
        os.replace(self._part, self._path)

    def _discard(self) -> None:
        """Close and remove the unfinished file; what went wrong is already on its way to the caller."""
        with suppress(OSError, ValueError):
            self._undo.close()

    def _cannot_write(self, error: OSError) -> InputError:
        return InputError(
            got=f"{self._path} cannot be written: {error.strerror or error}",
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


def _check_settings(width_px: int, height_px: int, crf: int, metadata: dict[str, str]) -> None:
    if width_px < 16 or height_px < 16 or width_px % 2 or height_px % 2:
        raise InputError(
            got=f"a video of {width_px}x{height_px} pixels",
            allowed="even sides of 16 pixels or more: H.264 stores colour at half the size",
            do="crop or pad the frames by one pixel",
        )
    if not 0 <= crf <= 51:
        raise InputError(got=f"crf {crf}", allowed="0 to 51", do="set it, for example to 18")
    unknown = sorted(set(metadata) - {*METADATA_KEYS, *GRAPH_KEYS})
    if unknown:
        raise InputError(
            got=f"metadata {', '.join(unknown)}",
            allowed=", ".join(METADATA_KEYS),
            do="put the text into `comment`",
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
        # PyAV 14 turns yuv into rgb rightly only when it is told all of this.
        colours = {
            "src_colorspace": Colorspace.ITU709,
            "src_color_range": ColorRange.MPEG,
            "dst_color_range": ColorRange.JPEG,
        }
        frames = [frame.to_ndarray(format="rgb24", **colours) for frame in container.decode(stream)]
        fps = stream.average_rate or Fraction(0)
        return Video(np.stack(frames), fps, voice, dict(container.metadata))
