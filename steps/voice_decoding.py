"""Decoding a voice from any sound or video file, block by block."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import torch
from av.container import InputContainer
from av.error import InvalidDataError

from ..errors import InputError

log = logging.getLogger(__name__)

# Containers that state the length of the sound. The others' is a guess from the file's size and bit rate.
_STATES_LENGTH = ("flac", "mp3", "mov,mp4,m4a,3gp,3g2,mj2")
# A file counts as cut short when more is missing than this. Codecs pad a sound by up to 4096 samples; some
# versions of FFmpeg count that into the stated length.
_CUT_SHORT_S, _CODEC_PADDING = 0.1, 4096


@contextmanager
def opened_voice(
    path: str | Path, start_s: float = 0.0, duration_s: float | None = None
) -> Iterator[tuple[int, Iterator[torch.Tensor]]]:
    """The sample rate and the mono blocks [n] of a part of a file's first sound track.

    Channels are averaged. Nothing but the block at hand is held.

    Args:
        path: the file.
        start_s: where to start.
        duration_s: how much to read at most; None reads to the end.

    Raises:
        InputError: no sound, damaged or cut short, nothing after `start_s`, or a span that cannot be.
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
            rate_hz = container.streams.audio[0].codec_context.sample_rate
            if not rate_hz:
                raise _unreadable(path, "a sound track without a sample rate")
            yield rate_hz, _part(container, path, rate_hz, start_s, duration_s)
    except OSError as error:
        raise _unreadable(path, str(error.strerror or error)) from error
    except ValueError as error:
        raise _unreadable(path, str(error)) from error


def _part(
    container: InputContainer, path: str | Path, rate_hz: int, start_s: float, duration_s: float | None
) -> Iterator[torch.Tensor]:
    """The blocks of the sound track, cut to the wanted span."""
    first = round(start_s * rate_hz)
    last = math.inf if duration_s is None else first + round(duration_s * rate_hz)
    position = 0
    for block in _blocks(container, path, rate_hz):
        part = block[max(0, first - position) : int(max(0, min(last - position, len(block))))]
        position += len(block)
        if len(part):
            yield part
        if position >= last:
            break
    if position <= first:
        raise _unreadable(path, f"no sound after {start_s:g} s; it is {position / rate_hz:g} s long")


def _unreadable(path: str | Path, why: str) -> InputError:
    return InputError(
        got=f"{path}: {why}",
        allowed="a whole sound file (wav, mp3, flac, m4a, ogg, opus) or a video with sound",
        do="check the path, and export the voice anew, for example as WAV",
    )


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
