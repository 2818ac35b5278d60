"""The host's AUDIO, {"waveform": [B, C, T], "sample_rate": Hz}, as a voice that is never copied as a whole.

The host holds the waveform anyway, 230 MB for an hour of 16 kHz mono; averaging its channels, cutting it and
making it louder happen block by block while it is heard.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from .loudness import normalise_loudness
from .timeline import FrameRate, Timeline, parse_fps
from .voice import check_finite, check_length, digest_of_blocks

log = logging.getLogger(__name__)

_BLOCK_SAMPLES = 1 << 16


@dataclass(frozen=True, eq=False)
class AudioVoice:
    """A recording of the host's, heard as one channel: the mean of its own.

    Attributes:
        waveform: [C, T], full scale is 1.
        sample_rate_hz: its sample rate.
        sample_count: how many samples are heard: fewer than T, or with silence behind them more.
        gain: what they are multiplied with.
        source: where it came from, for messages.
    """

    waveform: Tensor
    sample_rate_hz: int
    sample_count: int
    gain: float = 1.0
    source: str = "the audio"

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.sample_count / self.sample_rate_hz

    @property
    def digest(self) -> str:
        """SHA-256 of the samples."""
        return digest_of_blocks(self.blocks())

    def blocks(self) -> Iterator[Tensor]:
        """The samples, float32 [n] each."""
        for first in range(0, self.sample_count, _BLOCK_SAMPLES):
            wanted = min(_BLOCK_SAMPLES, self.sample_count - first)
            block = self.waveform[:, first : first + wanted].detach().float().mean(0).cpu() * self.gain
            yield torch.cat([block, block.new_zeros(wanted - len(block))])

    def amplified(self, gain: float) -> "AudioVoice":
        """The same voice with a gain applied."""
        return replace(self, gain=self.gain * gain)


def voice_of_audio(audio: Mapping[str, Any]) -> AudioVoice:
    """The host's AUDIO as a voice; channels are averaged.

    Raises:
        InputError: a batch, shorter than MIN_VOICE_S, NaN or infinite samples, or no sample rate.
    """
    waveform, rate_hz = _waveform(audio)[0], int(audio["sample_rate"])
    if rate_hz < 1:
        raise InputError(
            got=f"an AUDIO at {rate_hz} Hz", allowed="a sample rate of 1 Hz or more", do="give the true one"
        )
    voice = AudioVoice(waveform, rate_hz, waveform.shape[-1])
    check_length(voice)
    check_finite(waveform, voice.source)
    return voice


def audio_at_common_loudness(audio: Mapping[str, Any]) -> dict[str, Any]:
    """The host's AUDIO with the one gain that `normalise_loudness` gives its voice."""
    return {**audio, "waveform": audio["waveform"] * normalise_loudness(voice_of_audio(audio)).gain}


def cut_audio(audio: Mapping[str, Any], start_s: float, duration_s: float) -> dict[str, Any]:
    """A part of the host's AUDIO, all channels kept; a duration of 0 goes to the end.

    Raises:
        InputError: a batch, or a start behind the end.
    """
    waveform, rate_hz = _waveform(audio), int(audio["sample_rate"])
    first = round(start_s * rate_hz)
    last = first + round(duration_s * rate_hz) if duration_s else waveform.shape[-1]
    if not 0 <= first < waveform.shape[-1]:
        raise InputError(
            got=f"start {start_s:g} s in an audio of {waveform.shape[-1] / rate_hz:g} s",
            allowed="a start within the audio",
            do="set start to 0 or to where the speech begins",
        )
    return {"waveform": waveform[..., first:last], "sample_rate": rate_hz}


def fit_voice(voice: AudioVoice, frame_count: int, fps: FrameRate) -> AudioVoice:
    """A voice as long as so many frames: cut, or followed by silence, which the log says."""
    exact = parse_fps(fps)
    if Timeline(voice.sample_count, voice.sample_rate_hz, exact, frame_count).frame_count == frame_count:
        return voice
    wanted = int(frame_count * voice.sample_rate_hz / exact)
    log.warning(
        "%d frames at %s fps last %.2f s, the audio %.2f s: the audio is %s",
        frame_count,
        exact,
        frame_count / exact,
        voice.duration_s,
        "cut" if wanted < voice.sample_count else "followed by silence",
    )
    return replace(voice, sample_count=wanted)


def _waveform(audio: Mapping[str, Any]) -> Tensor:
    waveform = audio["waveform"]
    if waveform.ndim != 3 or len(waveform) != 1 or waveform.shape[1] < 1:
        raise InputError(
            got=f"an AUDIO of shape {list(waveform.shape)}",
            allowed="one recording, [1, channels, samples]",
            do="take one recording out of the batch",
        )
    return waveform
