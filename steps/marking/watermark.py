"""An invisible mark in the pixels, which survives what strips metadata: coding, scaling, cropping.

It is a label and no lock: whoever has this source can remove or forge it.

Informed embedding as of Miller, Doërr and Cox, "Applying informed coding and embedding to design a robust
high-capacity watermark" (IEEE Trans. Image Processing, 2004), with the linear correlation of "Improved spread
spectrum" (Malvar and Florêncio, IEEE Trans. Signal Processing, 2003): the writer knows the picture and spends
its energy only on chips that the reader would not yet see with the wanted sign and strength. A mark stays as
long as its picture stays about the same, and goes with it when the camera moves: a mark that stands still or
moves with its picture costs a video coder little, and noise averages out of it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ...errors import InputError
from .camera import FAR_CELLS, CameraTracker, moved, small_luma
from .error_correction import PAYLOAD_BITS, encode_payload
from .pattern import TILE, Pattern, detail, fold, loudness, luma_of, pattern, to_grid, unfold

BLOCK_FRAMES = 16
"""The mark is thought over after so many frames."""

HELD_FRAMES = 240
"""Most frames that share one mark."""

_HELD_CHANGE = 6.0
"""Mean change of the picture, in grey levels, after which it gets another mark."""

LEAST_SIDE_PX = 96
"""Below, a picture has too few pixels for the mark."""

# Root mean square of the mark in grey levels, 41 dB of PSNR; a larger picture needs less of it.
_STRENGTH, _LEAST_STRENGTH, _STRENGTH_FALLS = 2.2, 0.7, 0.83

_PILOT_TARGET = 2.5  # times that of a chip
_ITERATIONS, _STEP, _MOMENTUM, _TARGET_RATE = 10, 0.5, 0.6, 0.7
_CUT = 0.1
_LOW_CYCLES, _HIGH_CYCLES = 5, 30  # of a tile: outside, the mark would be seen or cost bits for nothing


@dataclass(frozen=True)
class Watermark:
    """A mark that carries a number.

    Attributes:
        payload: 0 to 2**32 - 1; leads to the record of how the video was made.
    """

    payload: int

    def __post_init__(self) -> None:
        if not 0 <= self.payload < 2**PAYLOAD_BITS:
            raise InputError(
                got=f"watermark payload {self.payload}",
                allowed=f"a whole number of {PAYLOAD_BITS} bits",
                do="use payload_of for text",
            )

    def mark(self, frames: Tensor) -> Tensor:
        """Frames [N, 3, H, W] of a video of their own with the mark in them, see `WatermarkPen`."""
        return WatermarkPen(self.payload).mark(frames)


class WatermarkPen:
    """Puts a number into the frames of a video from its first one on; the same frames get the same mark."""

    def __init__(self, payload: int):
        self._payload = Watermark(payload).payload
        self._camera = CameraTracker()
        # The picture that the mark was made for, and where the camera had it, in cells.
        self._seen, self._seen_at = torch.zeros(1, 1, 1), torch.zeros(2)
        self._field, self._left = torch.zeros(1, 1, 1, 1), 0

    def mark(self, frames: Tensor) -> Tensor:
        """The next frames with the mark in them.

        Args:
            frames: [N, 3, H, W], RGB in 0..1; H and W of 96 or more, the same in every call.

        Raises:
            InputError: frames that are too small.
        """
        height_px, width_px = frames.shape[-2:]
        if min(height_px, width_px) < LEAST_SIDE_PX:
            raise InputError(
                got=f"frames of {width_px}x{height_px} pixels to put a watermark into",
                allowed=f"{LEAST_SIDE_PX} pixels or more on each side",
                do="make a larger video, or switch the watermark off",
            )
        marked = frames.detach().float().cpu().clamp(0, 1)
        return torch.cat([self._mark_block(block) for block in marked.split(BLOCK_FRAMES)])

    def _mark_block(self, block: Tensor) -> Tensor:
        places = self._camera.follow(small_luma(block))
        still = bool((places == places[0]).all())
        grid = to_grid(luma_of(block.mean(0, keepdim=True) if still else block[:1]))
        if self._left <= 0 or self._is_another(grid, places[0]):
            self._think(grid, places[0], block.shape[-2:])
        self._left -= len(block)
        cell_px = min(block.shape[-2:]) / TILE
        shifts_px = ((places - self._seen_at) * cell_px).round().long().tolist()
        if still:
            return (block + _shifted(self._field, *shifts_px[0]) / 255).clamp(0, 1)
        fields = torch.cat([_shifted(self._field, *shift) for shift in shifts_px])
        return (block + fields / 255).clamp(0, 1)

    def _is_another(self, grid: Tensor, place: Tensor) -> bool:
        """Whether a picture [1, h, w] is no longer the one that the mark was made for."""
        shift = place - self._seen_at
        change = float((grid[0] - moved(self._seen[0], shift)).abs().mean())
        return change > _HELD_CHANGE or float(shift.abs().max()) > FAR_CELLS

    def _think(self, grid: Tensor, place: Tensor, size_px: torch.Size) -> None:
        """Make the mark for a picture [1, h, w], its tile as far from where it began as the camera is."""
        strength = _STRENGTH * min(1.0, (TILE / min(size_px)) ** _STRENGTH_FALLS)
        at_cells = tuple(place.round().int().tolist())
        field = _Embedder(grid, self._payload, at_cells).solve(max(_LEAST_STRENGTH, strength))
        self._field = F.interpolate(field[None], size=size_px, mode="bicubic", align_corners=False)
        self._seen, self._seen_at, self._left = grid, place, HELD_FRAMES


def _shifted(field: Tensor, down_px: int, right_px: int) -> Tensor:
    """A field [1, 1, H, W] carried by whole pixels, with zeros where it was not."""
    if down_px == right_px == 0:
        return field
    return F.pad(field, (right_px, -right_px, down_px, -down_px))


class _Embedder:
    """Finds the mark of a given strength that makes the least of all chips as large as it can.

    A chip is wanted in the whole picture and in what is left of it when borders are cut. The responses to a
    mark made of loads l >= 0 are linear, so with a target T the mark of least energy solves a least-squares
    problem whose loads are not negative (Miller et al. 2004 solve theirs step by step as well). Projected
    gradient steps with momentum get close enough in ten steps.
    """

    def __init__(self, grid: Tensor, payload: int, at_cells: tuple[int, ...] = (0, 0)):
        """The tile begins `at_cells` (down, right) of the picture's corner."""
        self._at_cells = at_cells
        self._pattern: Pattern = pattern()
        details = detail(grid)
        self._loudness = loudness(details)  # [1, h, w]
        signs = torch.from_numpy(encode_payload(payload)).float()
        self._signs = torch.cat([signs, torch.ones(1)])  # [V], the pilot is positive
        self._band = _band(*grid.shape[-2:])
        self._windows = _windows(*grid.shape[-2:])  # [W, h, w]
        self._present = self._seen(details / self._loudness)

    def _seen(self, whitened: Tensor) -> Tensor:
        """How strongly a reader of each window sees each value with its wanted sign, [W, V]."""
        tiles = fold(whitened * self._windows).roll([-cells for cells in self._at_cells], (1, 2))
        spectra = torch.fft.rfft2(tiles, norm="ortho")
        return self._pattern.collect(spectra) * self._signs

    def _response(self, field: Tensor) -> Tensor:
        return self._seen(detail(field) / self._loudness)

    def _field(self, loads: Tensor) -> Tensor:
        """The mark [1, h, w] of loads [W, V]."""
        height, width = self._loudness.shape[-2:]
        tiles = self._pattern.spread(loads * self._signs).roll(self._at_cells, (1, 2))
        tiles = unfold(tiles, height, width)
        carried = (tiles * self._windows).sum(0, keepdim=True) / self._loudness
        spectrum = torch.fft.rfft2(detail(carried)) * self._band
        return torch.fft.irfft2(spectrum, s=(height, width))

    def solve(self, strength: float) -> Tensor:
        """The mark [1, h, w] with this root mean square."""
        counts = self._pattern.frequency_counts
        targets = torch.ones_like(counts)
        targets[-1] = _PILOT_TARGET
        targets = targets * self._windows.mean((1, 2))[:, None]  # [W, V]
        loads = targets * counts / counts[0]
        field = self._field(loads)
        scale = strength / field.square().mean().sqrt()
        field, loads = field * scale, loads * scale
        response = self._response(field)
        gains = (response[:, :-1] / loads[:, :-1]).mean() * counts[0] / counts
        target, change = (response / targets)[:, :-1].mean() * 0.8, torch.zeros_like(loads)
        for _ in range(_ITERATIONS):
            missing = target * targets - response - self._present
            moved = (loads + _STEP * missing / gains + _MOMENTUM * change).clamp(min=0)
            change, loads = moved - loads, moved
            field = self._field(loads)
            scale = strength / field.square().mean().sqrt()
            target = target * scale**_TARGET_RATE
            response = self._response(field)
        return field * scale


def _windows(height: int, width: int) -> Tensor:
    """The whole picture, and what is left after a cut at two borders or at all of them, [6, h, w]."""
    windows = torch.ones(6, height, width)
    rows, columns = round(_CUT * height), round(_CUT * width)
    windows[1:3, :rows] = 0
    windows[3:5, -rows:] = 0
    windows[1:5:2, :, :columns] = 0
    windows[2:5:2, :, -columns:] = 0
    windows[5, : rows // 2] = windows[5, -(rows // 2) :] = 0
    windows[5, :, : columns // 2] = windows[5, :, -(columns // 2) :] = 0
    return windows


def _band(height: int, width: int) -> Tensor:
    """A soft band pass [h, w // 2 + 1] over the frequencies of a grid."""
    rows = torch.fft.fftfreq(height)[:, None] * 128
    columns = torch.fft.rfftfreq(width)[None] * 128
    cycles = torch.hypot(rows.expand(height, columns.shape[1]), columns.expand(height, -1))
    return (1 - 1 / (1 + (cycles / _LOW_CYCLES) ** 8)) / (1 + (cycles / _HIGH_CYCLES) ** 8)
