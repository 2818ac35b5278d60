"""Reading a voice from any sound or video file, and putting its level right."""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
import torch
from av.container import InputContainer
from av.error import InvalidDataError

from ..errors import InputError
from .resampling import Resampler, resample

__all__ = ["MIN_VOICE_S", "Voice", "normalise_loudness", "read_voice", "resample"]

log = logging.getLogger(__name__)

MIN_VOICE_S = 0.04
"""One frame of a video at 25 fps."""

# Containers that state the length of the sound. The others' is a guess from the file's size and bit rate.
_STATES_LENGTH = ("flac", "mp3", "mov,mp4,m4a,3gp,3g2,mj2")
# A file counts as cut short when more is missing than this. Codecs pad a sound by up to 4096 samples; some
# versions of FFmpeg count that into the stated length.
_CUT_SHORT_S, _CODEC_PADDING = 0.1, 4096
# Loudness counts windows of speech only: those less than 40 dB under the loudest.
_LEVEL_WINDOW_S = 0.05
_LEVEL_GATE = 10 ** (-40 / 20)


@dataclass(frozen=True, eq=False)
class Voice:
    """A mono voice.

    Attributes:
        samples: [T] float32, full scale is 1.
        sample_rate_hz: its sample rate.
        source: where it came from, for messages.
    """

    samples: torch.Tensor
    sample_rate_hz: int
    source: str

    def __post_init__(self) -> None:
        """Raises InputError: not [T], shorter than MIN_VOICE_S, NaN or infinite samples, no sample rate."""
        if self.samples.ndim != 1 or not self.samples.is_floating_point() or self.sample_rate_hz < 1:
            raise InputError(
                got=f"{self.source}: samples {list(self.samples.shape)} {self.samples.dtype} "
                f"at {self.sample_rate_hz} Hz",
                allowed="floating-point samples [T] of one channel and a sample rate of 1 Hz or more",
                do="average the channels and give the true sample rate",
            )
        if self.duration_s < MIN_VOICE_S:
            raise InputError(
                got=f"{self.source}: a voice of {self.duration_s:g} s ({self.samples.numel()} samples)",
                allowed=f"at least {MIN_VOICE_S} s, one frame of video",
                do="use a longer recording",
            )
        # Non-finite samples poison the extremes, so this needs no mask as large as the voice.
        low, high = self.samples.aminmax()
        if not (low.isfinite() and high.isfinite()):
            raise InputError(
                got=f"{self.source}: NaN or infinite samples",
                allowed="finite samples, with full scale at 1",
                do="export the recording anew, for example as 16-bit WAV",
            )

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.samples.numel() / self.sample_rate_hz


def read_voice(
    path: str | Path, start_s: float = 0.0, duration_s: float | None = None, sample_rate_hz: int | None = None
) -> Voice:
    """Read the first sound track of a file: wav, mp3, flac, m4a, ogg, opus, or a video.

    Channels are averaged. The file is decoded in blocks; memory holds the voice once, at the wanted rate.

    Args:
        path: the file.
        start_s: where to start.
        duration_s: how much to read at most; None reads to the end.
        sample_rate_hz: the wanted rate; None keeps the file's.

    Raises:
        InputError: no sound, damaged or cut short, below MIN_VOICE_S, NaN samples, or a bad span or rate.
    """
    if not (math.isfinite(start_s) and start_s >= 0) or not (duration_s is None or duration_s > 0):
        raise InputError(
            got=f"start_s {start_s}, duration_s {duration_s}",
            allowed="start_s of 0 or more, and duration_s above 0 or none",
            do="choose a part that lies within the recording",
        )
    try:
        # An absolute path cannot be taken for an address by FFmpeg.
        with av.open(str(Path(path).resolve(strict=True)), metadata_errors="replace") as container:
            if not container.streams.audio:
                raise _unreadable(path, "no sound track")
            if len(container.streams.audio) > 1:
                log.warning("%s has %d sound tracks: the first is used", path, len(container.streams.audio))
            samples, rate_hz = _decode(container, path, start_s, duration_s, sample_rate_hz)
    except OSError as error:
        raise _unreadable(path, str(error.strerror or error)) from error
    except ValueError as error:
        raise _unreadable(path, str(error)) from error
    return Voice(samples, rate_hz, str(path))


def _unreadable(path: str | Path, why: str) -> InputError:
    return InputError(
        got=f"{path}: {why}",
        allowed="a whole sound file (wav, mp3, flac, m4a, ogg, opus) or a video with sound",
        do="check the path, and export the voice anew, for example as WAV",
    )


def _decode(
    container: InputContainer,
    path: str | Path,
    start_s: float,
    duration_s: float | None,
    wanted_hz: int | None,
) -> tuple[torch.Tensor, int]:
    """Decode, cut to the wanted span and resample; gives samples [T] and their rate."""
    rate_hz = container.streams.audio[0].codec_context.sample_rate
    if not rate_hz:
        raise _unreadable(path, "a sound track without a sample rate")
    first = round(start_s * rate_hz)
    last = math.inf if duration_s is None else first + round(duration_s * rate_hz)
    resampler = Resampler(rate_hz, wanted_hz) if wanted_hz not in (None, rate_hz) else None
    # A growing buffer that becomes the tensor: a list of blocks would need the voice twice when joined.
    stored = bytearray()
    position = 0
    for block in _blocks(container, path, rate_hz):
        part = block[max(0, first - position) : int(max(0, min(last - position, len(block))))]
        position += len(block)
        stored += (resampler.push(part) if resampler else part).numpy().tobytes()
        if position >= last:
            break
    if resampler:
        stored += resampler.finish().numpy().tobytes()
    if not stored:
        raise _unreadable(path, f"no sound after {start_s:g} s; it is {position / rate_hz:g} s long")
    return torch.frombuffer(stored, dtype=torch.float32), wanted_hz or rate_hz


def _blocks(container: InputContainer, path: str | Path, rate_hz: int) -> Iterator[torch.Tensor]:
    """Mono blocks [n] of the first sound track, without the padding that a codec adds at the end."""
    stream = container.streams.audio[0]
    stated = _stated_length(container, rate_hz)
    to_packed = av.AudioResampler(format="flt")
    position = 0
    try:
        for frame in container.decode(stream):
            if frame.sample_rate != rate_hz:
                raise _unreadable(path, f"its sample rate changes from {rate_hz} to {frame.sample_rate} Hz")
            block = _mono(frame, to_packed)
            excess = position + len(block) - stated if stated else 0
            position += len(block)
            # Only what a last codec frame pads: anything longer means that the stated length is wrong.
            yield block[: len(block) - excess] if 0 < excess < len(block) else block
    except InvalidDataError:
        raise _unreadable(path, f"damaged or cut short at {position / rate_hz:.2f} s") from None
    if stated and position < stated - max(_CUT_SHORT_S * rate_hz, _CODEC_PADDING):
        raise _unreadable(path, f"cut short: only {position / rate_hz:.2f} s of {stated / rate_hz:.2f} s")


def _stated_length(container: InputContainer, rate_hz: int) -> int | None:
    """Samples that the file says it holds; None where FFmpeg only guesses that from the file's size."""
    stream = container.streams.audio[0]
    # Only a header with the true length makes FFmpeg start an mp3 after the encoder's delay.
    name = container.format.name
    guessed = name not in _STATES_LENGTH or (name == "mp3" and not stream.start_time)
    if guessed or stream.duration is None or stream.time_base is None:
        return None
    return round(stream.duration * stream.time_base * rate_hz)


def _mono(frame: av.AudioFrame, to_packed: av.AudioResampler) -> torch.Tensor:
    """Average the channels of a decoded frame, [n].

    FFmpeg's own down-mix of floating-point stereo is 3 dB too loud. Here it only interleaves the channels,
    since reading eight separate ones crashes PyAV (18.1: `AudioFrame.planes` runs past its eight pointers).
    """
    channels = frame.layout.nb_channels
    packed = np.concatenate([part.to_ndarray().ravel() for part in to_packed.resample(frame)])
    return torch.from_numpy(packed).view(-1, channels).mean(1)


def normalise_loudness(voice: Voice, target_dbfs_rms: float = -20.0) -> Voice:
    """Bring the level of the speech, pauses left out, to a target; peaks stay within full scale.

    Args:
        voice: the voice.
        target_dbfs_rms: wanted level in dB under full scale.

    Returns:
        The voice with one gain applied; a silent voice as it is.

    Raises:
        InputError: a target outside -60..0.
    """
    if not -60 <= target_dbfs_rms <= 0:
        raise InputError(
            got=f"target {target_dbfs_rms} dBFS", allowed="-60 to 0", do="set it, for example to -20"
        )
    window = max(1, round(_LEVEL_WINDOW_S * voice.sample_rate_hz))
    powers = torch.stack([part.square().mean() for part in voice.samples.split(window)])
    if powers.max() == 0:
        log.warning("%s is silent: its level is left as it is", voice.source)
        return voice
    speech = powers[powers > powers.max() * _LEVEL_GATE**2].mean().sqrt()
    gain = 10 ** (target_dbfs_rms / 20) / float(speech)
    peak = float(voice.samples.abs().max())
    if gain * peak > 1:
        log.info(
            "%s: gain held back by %.1f dB, so that peaks fit", voice.source, 20 * math.log10(gain * peak)
        )
        gain = 1 / peak
    return replace(voice, samples=voice.samples * gain)
