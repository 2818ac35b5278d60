"""Change of sample rate by a windowed sinc, in bounded memory and without delay."""

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction

import torch

from ..errors import InputError

# Zero crossings on each side, and the share of the lower rate's band that passes. From 44100 to 16000 Hz,
# 7 kHz passes at 0 dB and 8.5 kHz comes back at -83 dB; the usual width of 6 leaves that alias at -11 dB.
_ZERO_CROSSINGS = 64
_ROLLOFF = 0.9475
# Samples of the table of filters; also bounds the error of a rate ratio that is too odd to be kept exactly.
_MAX_TABLE = 2**24
_MIN_ROW = 64
_BLOCK_SAMPLES = 1 << 18


def resampling_ratio(from_hz: int, to_hz: int) -> Fraction:
    """Samples of the new rate for each of the old; InputError for a rate below 1."""
    if min(from_hz, to_hz) < 1:
        raise InputError(
            got=f"sample rates {from_hz} -> {to_hz} Hz",
            allowed="1 Hz or more",
            do="give the voice's true rate",
        )
    return Fraction(to_hz, from_hz)


def resampled_count(count: int, from_hz: int, to_hz: int) -> int:
    """How many samples `resample` makes of so many."""
    return math.ceil(count * resampling_ratio(from_hz, to_hz))


class Resampler:
    """Resamples a signal that comes in blocks.

    Output sample j lies at the time of input position j * from_hz / to_hz, so nothing is delayed. Ratios of
    rates in use are exact; an odd one such as 44101:16000 is met to 6e-8, which is 0.2 ms in an hour.
    """

    def __init__(self, from_hz: int, to_hz: int):
        """Raises InputError: a rate below 1."""
        self._ratio = 1 / resampling_ratio(from_hz, to_hz)
        near = self._ratio.limit_denominator(max(1, math.isqrt(math.ceil(_MAX_TABLE / self._ratio))))
        band = min(1.0, float(1 / near)) * _ROLLOFF  # cut-off as a share of the input's half rate
        self._reach = math.ceil(_ZERO_CROSSINGS / band)
        rows_of = math.ceil(_MIN_ROW / near.denominator)
        self._row_out, self._row_in = near.denominator * rows_of, near.numerator * rows_of
        self._kernel = _kernel(self._row_out, self._row_in, near, self._reach, band)  # [row_out, span]
        self._pending = torch.zeros(self._reach)
        self._received = self._sent = 0

    def push(self, samples: torch.Tensor) -> torch.Tensor:
        """Take the next samples [n] and give those of the new rate that are settled, [m]."""
        self._received += samples.numel()
        self._pending = torch.cat([self._pending, samples.float()])
        span = self._kernel.shape[1]
        rows = max(0, (self._pending.numel() - span) // self._row_in + 1)
        if rows == 0:
            return self._pending.new_zeros(0)
        windows = self._pending.unfold(0, span, self._row_in)[:rows]  # [rows, span]
        out = (windows @ self._kernel.T).flatten()
        self._pending = self._pending[rows * self._row_in :].clone()
        self._sent += out.numel()
        return out

    def finish(self) -> torch.Tensor:
        """Give the rest: in all, ceil(received * to_hz / from_hz) samples have then come out."""
        total = math.ceil(self._received / self._ratio)
        missing, received = total - self._sent, self._received
        rows = math.ceil(missing / self._row_out)
        tail = self.push(torch.zeros(rows * self._row_in + self._kernel.shape[1]))[:missing]
        self._received, self._sent = received, total
        return tail


def _kernel(row_out: int, row_in: int, ratio: Fraction, reach: int, band: float) -> torch.Tensor:
    """Filters of one row of outputs, [row_out, row_in + 2 * reach]: a sinc under a squared cosine."""
    at = torch.arange(row_out, dtype=torch.float64) * float(ratio)  # output positions in input samples
    taps = torch.arange(-reach, row_in + reach, dtype=torch.float64)
    crossings = ((taps[None, :] - at[:, None]) * band).clamp(-_ZERO_CROSSINGS, _ZERO_CROSSINGS)
    window = torch.cos(crossings * (math.pi / 2 / _ZERO_CROSSINGS)) ** 2
    return (torch.sinc(crossings) * window * band).float()


def resample(samples: torch.Tensor, from_hz: int, to_hz: int) -> torch.Tensor:
    """Resample a whole signal.

    Args:
        samples: [T].
        from_hz, to_hz: sample rates.

    Returns:
        [ceil(T * to_hz / from_hz)] float32; the very input when the rates are equal.

    Raises:
        InputError: a rate below 1.
    """
    if from_hz == to_hz:
        return samples
    count = resampled_count(samples.numel(), from_hz, to_hz)
    out = samples.new_empty(count, dtype=torch.float32)
    filled = 0
    for part in resampled(samples.split(_BLOCK_SAMPLES), from_hz, to_hz):
        out[filled : filled + part.numel()] = part
        filled += part.numel()
    return out


def resampled(blocks: Iterable[torch.Tensor], from_hz: int, to_hz: int) -> Iterator[torch.Tensor]:
    """Resample a signal that comes in blocks [n], block by block; as they are when the rates are equal.

    Raises:
        InputError: a rate below 1.
    """
    if from_hz == to_hz:
        yield from blocks
        return
    resampler = Resampler(from_hz, to_hz)
    for block in blocks:
        yield resampler.push(block)
    yield resampler.finish()


def in_blocks(parts: Iterable[torch.Tensor], size: int) -> Iterator[torch.Tensor]:
    """A signal in parts [n] of any lengths, cut anew into blocks [size]; the last may be shorter."""
    waiting: list[torch.Tensor] = []
    count = 0
    for part in parts:
        waiting.append(part)
        count += len(part)
        if count >= size:
            *blocks, rest = torch.cat(waiting).split(size)
            if len(rest) == size:
                blocks, rest = [*blocks, rest], rest[:0]
            yield from blocks
            waiting, count = [rest.clone()], len(rest)
    if count:
        yield torch.cat(waiting)
