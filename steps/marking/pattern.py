"""The watermark's carrier: pseudo-random patterns of a tile, and the filter through which a reader sees them.

Spread spectrum as of Cox, Kilian, Leighton and Shamoon, "Secure spread spectrum watermarking for multimedia"
(IEEE Trans. Image Processing, 1997): every chip, and a pilot to find the place by, owns some of the middle
frequencies of a tile, with pseudo-random phases. A picture is seen on a grid whose short side is one
tile, whatever its size in pixels: coarse patterns in large pictures cost a coder least.

Any change of a constant here makes marks unreadable that were written before.
"""

import hashlib
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .error_correction import CHIP_COUNT

TILE = 128
"""Side of the tile in cells of the grid."""

_BAND_CYCLES = (6, 26)  # of the tile's frequencies; above, coding and halving of the size destroy most
_PILOT_SHARE = 0.25
_LOCAL_MEAN_CELLS, _LOCAL_DEVIATION_CELLS = 3.0, 4.0  # standard deviations of Gaussians
_LEAST_DEVIATION = 3.0  # grey levels of 255
_WHITENING = 1.8  # exponent of the local deviation; measured, see benchmarks/watermark.py
_LUMA = (0.2126, 0.7152, 0.0722)  # BT.709


def _random_words(name: str, count: int) -> np.ndarray:
    """The same random uint32 [count] everywhere and for ever."""
    digest = hashlib.shake_256(f"comfyui-emo watermark 1 {name}".encode()).digest(4 * count)
    return np.frombuffer(digest, "<u4")


class Pattern:
    """Values <-> the tile. Value k < CHIP_COUNT is that of chip k, the last one that of the pilot."""

    value_count = CHIP_COUNT + 1

    def __init__(self) -> None:
        rows, columns = np.meshgrid(np.fft.fftfreq(TILE) * TILE, np.arange(TILE // 2 + 1), indexing="ij")
        radius = np.hypot(rows, columns)
        twice = (columns == 0) & (rows <= 0)  # conjugates of others
        places = np.flatnonzero((radius >= _BAND_CYCLES[0]) & (radius < _BAND_CYCLES[1]) & ~twice)
        places = places[np.argsort(_random_words("places", len(places)), kind="stable")]
        pilot_count = int(_PILOT_SHARE * len(places))
        owner = np.arange(len(places)) - pilot_count
        owner = np.where(owner < 0, CHIP_COUNT, owner % CHIP_COUNT)
        angles = _random_words("phases", len(places)) * (2 * np.pi / 2**32)
        self._places = torch.from_numpy(places)
        self._owner = torch.from_numpy(owner)
        self._phases = torch.from_numpy(np.exp(1j * angles)).to(torch.complex64)
        self.frequency_counts = torch.bincount(self._owner, minlength=self.value_count).float()  # [V]
        self.pilot_spectrum = torch.zeros(TILE, TILE // 2 + 1, dtype=torch.complex64)
        self.pilot_spectrum.view(-1)[self._places[:pilot_count]] = self._phases[:pilot_count]

    def spread(self, values: Tensor) -> Tensor:
        """The tiles [N, 128, 128] that carry values [N, V]; the adjoint of `collect`."""
        spectra = torch.zeros(len(values), TILE * (TILE // 2 + 1), dtype=torch.complex64)
        spectra[:, self._places] = self._phases * (values / self.frequency_counts)[:, self._owner]
        return torch.fft.irfft2(spectra.view(-1, TILE, TILE // 2 + 1), s=(TILE, TILE), norm="ortho")

    def collect(self, spectra: Tensor) -> Tensor:
        """The mean correlations [N, V] of tiles' spectra (rfft2, norm "ortho") with each value's pattern."""
        likeness = (spectra.flatten(1)[:, self._places] * self._phases.conj()).real
        sums = torch.zeros(len(spectra), self.value_count).index_add_(1, self._owner, likeness)
        return sums / self.frequency_counts


@cache
def pattern() -> Pattern:
    """The one pattern of this format."""
    return Pattern()


def luma_of(frames: Tensor) -> Tensor:
    """[N, 3, H, W] in 0..1 -> [N, H, W] in grey levels 0..255."""
    return torch.einsum("nchw,c->nhw", frames.float(), torch.tensor(_LUMA)) * 255


def to_grid(luma: Tensor) -> Tensor:
    """Pictures [N, H, W] on a grid with one tile on the short side, [N, h, w]."""
    height_px, width_px = luma.shape[-2:]
    scale = TILE / min(height_px, width_px)
    size = (round(height_px * scale), round(width_px * scale))
    if size == (height_px, width_px):
        return luma
    return F.interpolate(luma[:, None], size=size, mode="bicubic", antialias=True, align_corners=False)[:, 0]


@cache
def _gaussian(deviation: float) -> Tensor:
    reach = round(3 * deviation)
    at = torch.arange(-reach, reach + 1.0)
    kernel = torch.exp(-at.square() / (2 * deviation**2))
    return kernel / kernel.sum()


def blur(fields: Tensor, deviation: float) -> Tensor:
    """Gaussian mean of fields [N, h, w] with mirrored borders."""
    kernel = _gaussian(deviation)
    reach = len(kernel) // 2
    fields = F.conv2d(F.pad(fields[:, None], (reach, reach, 0, 0), "reflect"), kernel.view(1, 1, 1, -1))
    return F.conv2d(F.pad(fields, (0, 0, reach, reach), "reflect"), kernel.view(1, 1, -1, 1))[:, 0]


def detail(fields: Tensor) -> Tensor:
    """Fields [N, h, w] less their local mean."""
    return fields - blur(fields, _LOCAL_MEAN_CELLS)


def loudness(details: Tensor) -> Tensor:
    """What the reader divides details [N, h, w] by: where a picture is rough, a mark tells less."""
    variance = blur(details.square(), _LOCAL_DEVIATION_CELLS).clamp(min=0) + _LEAST_DEVIATION**2
    return variance.pow(_WHITENING / 2)


def fold(fields: Tensor) -> Tensor:
    """The sums [N, 128, 128] of all tiles of fields [N, h, w]; the adjoint of `unfold`."""
    height, width = fields.shape[-2:]
    rows, columns = -(-height // TILE), -(-width // TILE)
    padded = F.pad(fields, (0, columns * TILE - width, 0, rows * TILE - height))
    return padded.view(-1, rows, TILE, columns, TILE).sum((1, 3))


def unfold(tiles: Tensor, height: int, width: int) -> Tensor:
    """Tiles [N, 128, 128] over and over, [N, h, w]."""
    return tiles.repeat(1, -(-height // TILE), -(-width // TILE))[:, :height, :width]
