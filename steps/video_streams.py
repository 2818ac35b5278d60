"""The two streams of an mp4 file: frames to H.264, a voice to AAC."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace

from ..errors import InputError
from .resampling import in_blocks, resampled, resampled_count
from .timeline import Timeline, sample_at_frame
from .voice import VoiceSource

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
_SOUND_BLOCK = 1024  # samples of an AAC frame
_BT709 = 1  # the number of BT.709 for primaries and transfer in H.264, ITU-T H.273


@dataclass(frozen=True)
class PictureFormat:
    """How frames are stored.

    Attributes:
        width_px, height_px: size of the video, both even.
        crf: quality of H.264: 0 is lossless, 18 looks so, 51 is worst.
        preset: x264's preset, from ultrafast to veryslow.
    """

    width_px: int
    height_px: int
    crf: int = 18
    preset: str = "medium"

    def __post_init__(self) -> None:
        sides = (self.width_px, self.height_px)
        if min(sides) < 16 or any(side % 2 for side in sides):
            raise InputError(
                got=f"a video of {self.width_px}x{self.height_px} pixels",
                allowed="even sides of 16 pixels or more: H.264 stores colour at half the size",
                do="crop or pad the frames by one pixel",
            )
        if not 0 <= self.crf <= 51:
            raise InputError(got=f"crf {self.crf}", allowed="0 to 51", do="set it, for example to 18")

    def check_frames(self, frames: torch.Tensor, first_frame: int) -> None:
        """Raise InputError unless frames [N, 3, H, W] are of this size, and finite."""
        if frames.ndim != 4 or tuple(frames.shape[1:]) != (3, self.height_px, self.width_px):
            raise InputError(
                got=f"frames of shape {tuple(frames.shape)}",
                allowed=f"[N, 3, {self.height_px}, {self.width_px}]",
                do="decode frames at the size of the video",
            )
        if not bool(frames.isfinite().all()):
            raise InputError(
                got=f"NaN or infinite pixels after frame {first_frame}",
                allowed="finite pixels",
                do="run the model in float32, or with other settings: it broke down",
            )


class PictureStream:
    """H.264 (yuv420p, BT.709) in an mp4 container that is open for writing."""

    def __init__(self, container: OutputContainer, fps: Fraction, picture: PictureFormat):
        self._container, self._fps, self._written = container, fps, 0
        options = {"crf": str(picture.crf), "preset": picture.preset}
        self._stream = container.add_stream("libx264", rate=fps, options=options)
        self._stream.width, self._stream.height = picture.width_px, picture.height_px
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.time_base = 1 / fps
        # Without these tags players guess the colours from the picture's size.
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        context.color_primaries = context.color_trc = _BT709

    def write(self, pixels: np.ndarray) -> None:
        """Append one frame [H, W, 3] of bytes."""
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        picture.pts, picture.time_base = self._written, 1 / self._fps
        self._container.mux(self._stream.encode(picture))
        self._written += 1

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._container.mux(self._stream.encode(None))


class SoundStream:
    """A voice as AAC in an mp4 container that is open for writing, block by block beside the frames."""

    def __init__(self, container: OutputContainer, voice: VoiceSource, timeline: Timeline):
        rate_hz = sound_rate_hz(voice)
        self._container, self._timeline, self._rate_hz = container, timeline, rate_hz
        self._total = resampled_count(voice.sample_count, voice.sample_rate_hz, rate_hz)
        self._blocks = in_blocks(resampled(voice.blocks(), voice.sample_rate_hz, rate_hz), _SOUND_BLOCK)
        self._written = 0
        self._stream = container.add_stream("aac", rate=rate_hz, layout="mono")
        self._stream.codec_context.bit_rate = _AAC_BITS_PER_S
        self._stream.codec_context.time_base = Fraction(1, rate_hz)

    def write_until(self, frame: int) -> None:
        """Append what sounds before a frame, up to a block more."""
        self._write_until_sample(sample_at_frame(frame, self._rate_hz, self._timeline.fps))

    def _write_until_sample(self, sample: int) -> None:
        end = min(sample, self._total)
        while self._written < end:
            samples = next(self._blocks).numpy()[None]
            sound = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="mono")
            sound.sample_rate, sound.pts = self._rate_hz, self._written
            sound.time_base = Fraction(1, self._rate_hz)
            self._container.mux(self._stream.encode(sound))
            self._written += samples.shape[1]

    def finish(self) -> None:
        """Write the rest of the voice, and what the encoder still holds."""
        self._write_until_sample(self._total)
        self._container.mux(self._stream.encode(None))


def sound_rate_hz(voice: VoiceSource) -> int:
    """The rate of a voice's sound in the file: its own, or 48 kHz where AAC does not have that."""
    return voice.sample_rate_hz if voice.sample_rate_hz in _AAC_RATES_HZ else _AAC_FALLBACK_HZ


def open_video(path: Path, suffix: str, voice: VoiceSource, metadata: dict[str, str]) -> OutputContainer:
    """A new video file for a voice and its frames, of the kind of a `suffix`; its index will lie in front.

    Raises:
        OSError: the file cannot be written.
    """
    rate_hz = sound_rate_hz(voice)
    if rate_hz != voice.sample_rate_hz:
        log.info("the video's sound is resampled from %d to %d Hz", voice.sample_rate_hz, rate_hz)
    # Only as tags of its own does mp4 keep keys like "workflow".
    flags = "faststart+use_metadata_tags" if set(GRAPH_KEYS) & set(metadata) else "faststart"
    # mp4's clock ticks once a sample: at its usual 1 ms the stored length of the sound would be rounded.
    options = {"movflags": flags, "movie_timescale": str(rate_hz)}
    container = av.open(str(path.absolute()), "w", format=CONTAINERS[suffix.lower()], options=options)
    container.metadata.update(metadata)
    return container


def check_metadata(metadata: Iterable[str]) -> None:
    """Raise InputError for a key that an mp4 file does not keep."""
    unknown = sorted(set(metadata) - {*METADATA_KEYS, *GRAPH_KEYS})
    if unknown:
        raise InputError(
            got=f"metadata {', '.join(unknown)}",
            allowed=", ".join(METADATA_KEYS),
            do="put the text into `comment`",
        )


def check_timeline(timeline: Timeline, voice: VoiceSource) -> None:
    """Raise InputError unless the timeline is that of the voice."""
    if (timeline.sample_count, timeline.sample_rate_hz) != (voice.sample_count, voice.sample_rate_hz):
        raise InputError(
            got=f"a timeline of {timeline.sample_count} samples at {timeline.sample_rate_hz} Hz "
            f"for a voice of {voice.sample_count} at {voice.sample_rate_hz} Hz",
            allowed="the timeline of this very voice",
            do="make the timeline from the voice that goes into the file",
        )


def frame_bytes(frames: torch.Tensor) -> np.ndarray:
    """Frames [N, 3, H, W] of 0..1, values beyond cut -> [N, H, W, 3] uint8."""
    scaled = (frames.detach().float().clamp(0, 1) * 255).round().byte()
    return scaled.permute(0, 2, 3, 1).cpu().numpy()
