"""A voice, held in memory or left in its file."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch

from ..errors import InputError
from .resampling import in_blocks, resample, resampled
from .voice_decoding import opened_voice

__all__ = [
    "MIN_VOICE_S",
    "Voice",
    "VoiceFile",
    "VoiceSource",
    "open_voice",
    "read_voice",
    "resample",
]

MIN_VOICE_S = 0.04
"""One frame of a video at 25 fps."""

# What a voice in memory is handed out in.
_BLOCK_SAMPLES = 1 << 16


def digest_of_blocks(blocks: Iterable[torch.Tensor]) -> str:
    """SHA-256 of samples that come block by block, whatever the blocks' lengths."""
    sha = hashlib.sha256()
    for block in blocks:
        sha.update(block.numpy().tobytes())
    return sha.hexdigest()


class VoiceSource(Protocol):
    """A mono voice that can be heard from its start as often as wanted, block by block."""

    @property
    def source(self) -> str:
        """Where it came from, for messages."""
        ...

    @property
    def sample_rate_hz(self) -> int:
        """Its sample rate."""
        ...

    @property
    def sample_count(self) -> int:
        """How many samples all blocks hold together."""
        ...

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of the samples: the same for the same sound at the same rate and level."""
        ...

    def blocks(self) -> Iterator[torch.Tensor]:
        """The samples, float32 [n] each, full scale is 1."""
        ...

    def amplified(self, gain: float) -> "VoiceSource":
        """The same voice with a gain applied."""
        ...


@dataclass(frozen=True, eq=False)
class Voice:
    """A mono voice in memory.

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
        check_length(self)
        check_finite(self.samples, self.source)

    @property
    def sample_count(self) -> int:
        """How many samples there are."""
        return self.samples.numel()

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.sample_count / self.sample_rate_hz

    @property
    def digest(self) -> str:
        """SHA-256 of the samples."""
        return digest_of_blocks(self.blocks())

    def blocks(self) -> Iterator[torch.Tensor]:
        """The samples, float32 [n] each."""
        return (part.detach().float().cpu() for part in self.samples.split(_BLOCK_SAMPLES))

    def amplified(self, gain: float) -> "Voice":
        """The same voice with a gain applied."""
        return replace(self, samples=self.samples * gain)


@dataclass(frozen=True)
class VoiceFile:
    """A mono voice that stays in its file and is decoded anew whenever it is heard; see `open_voice`.

    Attributes:
        path: the file.
        start_s: where the voice starts in it.
        length_s: how much of it is used at most; None is all.
        sample_count: how many samples that is.
        sample_rate_hz: the file's sample rate.
        content: SHA-256 of the samples without the gain.
        gain: what they are multiplied with.
    """

    path: Path
    start_s: float
    length_s: float | None
    sample_count: int
    sample_rate_hz: int
    content: str
    gain: float = 1.0

    @property
    def source(self) -> str:
        """The path, for messages."""
        return str(self.path)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.sample_count / self.sample_rate_hz

    @property
    def digest(self) -> str:
        """SHA-256 that stands for samples and gain."""
        return hashlib.sha256(f"{self.content} {self.gain!r}".encode()).hexdigest()

    def blocks(self) -> Iterator[torch.Tensor]:
        """The samples, float32 [n] each.

        Raises:
            InputError: the file cannot be read any more, or is not as long as it was.
        """
        count = 0
        with opened_voice(self.path, self.start_s, self.length_s) as (_, blocks):
            for block in in_blocks(blocks, _BLOCK_SAMPLES):
                count += len(block)
                yield block * self.gain if self.gain != 1 else block
        if count != self.sample_count:
            raise InputError(
                got=f"{self.path} with {count} samples, where it had {self.sample_count} before",
                allowed="a file that does not change while it is used",
                do="start again once the file is complete",
            )

    def amplified(self, gain: float) -> "VoiceFile":
        """The same voice with a gain applied."""
        return replace(self, gain=self.gain * gain)


def check_length(voice: VoiceSource) -> None:
    """Raise InputError for a voice shorter than MIN_VOICE_S."""
    if voice.duration_s < MIN_VOICE_S:
        raise InputError(
            got=f"{voice.source}: a voice of {voice.duration_s:g} s ({voice.sample_count} samples)",
            allowed=f"at least {MIN_VOICE_S} s, one frame of video",
            do="use a longer recording",
        )


def check_finite(samples: torch.Tensor, source: str) -> None:
    """Raise InputError for NaN or infinite samples."""
    # Non-finite samples poison the extremes, so this needs no mask as large as the voice.
    low, high = samples.aminmax()
    if not (low.isfinite() and high.isfinite()):
        raise InputError(
            got=f"{source}: NaN or infinite samples",
            allowed="finite samples, with full scale at 1",
            do="export the recording anew, for example as 16-bit WAV",
        )


def open_voice(path: str | Path, start_s: float = 0.0, duration_s: float | None = None) -> VoiceFile:
    """The first sound track of a file, heard through once and not kept: memory does not grow with its length.

    Args:
        path: wav, mp3, flac, m4a, ogg, opus, or a video.
        start_s: where to start.
        duration_s: how much to use at most; None goes to the end.

    Raises:
        InputError: no sound, damaged or cut short, below MIN_VOICE_S, NaN samples, or a bad span.
    """
    count, sha = 0, hashlib.sha256()
    with opened_voice(path, start_s, duration_s) as (rate_hz, blocks):
        for block in in_blocks(blocks, _BLOCK_SAMPLES):
            check_finite(block, str(path))
            sha.update(block.numpy().tobytes())
            count += len(block)
    voice = VoiceFile(Path(path), start_s, duration_s, count, rate_hz, sha.hexdigest())
    check_length(voice)
    return voice


def read_voice(
    path: str | Path, start_s: float = 0.0, duration_s: float | None = None, sample_rate_hz: int | None = None
) -> Voice:
    """Read the first sound track of a file into memory: wav, mp3, flac, m4a, ogg, opus, or a video.

    Channels are averaged. The file is decoded in blocks; memory holds the voice once, at the wanted rate.

    Args:
        path: the file.
        start_s: where to start.
        duration_s: how much to read at most; None reads to the end.
        sample_rate_hz: the wanted rate; None keeps the file's.

    Raises:
        InputError: no sound, damaged or cut short, below MIN_VOICE_S, NaN samples, or a bad span or rate.
    """
    with opened_voice(path, start_s, duration_s) as (file_rate_hz, blocks):
        rate_hz = sample_rate_hz or file_rate_hz
        # A growing buffer that becomes the tensor: a list of blocks would need the voice twice when joined.
        stored = bytearray()
        for block in resampled(blocks, file_rate_hz, rate_hz):
            stored += block.numpy().tobytes()
    return Voice(torch.frombuffer(stored, dtype=torch.float32), rate_hz, str(path))
