"""Reads the watermark: finds where its tile lies, mirrored, turned, scaled or cut, and decodes its payload.

How sure a reading is does not rest on the statistics of pictures. It counts only if its check sum of 24 bits
is right, and at most CANDIDATES places of a field are decoded, and at most FIELDS fields of a file. A picture
without a mark has nothing to do with the pseudo-random patterns, so what is decoded from it is any of the
2**56 words with equal chance: the expected number of false alarms per file is at most
FALSE_ALARM_BOUND = CANDIDATES * FIELDS / 2**24. The pilot's score has to pass a threshold as well, which only
lowers that.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .camera import CameraTracker, moved, small_luma
from .error_correction import CHECK_BITS, CHIP_COUNT, decode_payload, encode_payload
from .pattern import TILE, detail, fold, loudness, pattern, to_grid

CANDIDATES = 5
FIELDS = 3
FALSE_ALARM_BOUND = CANDIDATES * FIELDS / 2**CHECK_BITS
"""Chance of a reading from a file without a mark, 8.9e-7."""

_BLOCK_FRAMES = 12  # whitened together
_FARTHEST_CELLS = 2 * TILE  # that a moving camera is followed for
_LEAST_SCORE = 4.5  # standard deviations; the largest of a whole surface of noise lies around 4
_ZOOMS = 1.0155 ** np.arange(-2, 15)  # 0.97 to 1.24; a crop by 10% and back to the old size zooms by 1.11
_ANGLES_DEGREES = np.arange(-3.0, 3.5)
_FINE_ZOOMS = (0.992, 0.996, 1.0, 1.004, 1.008)
_FINE_ANGLES_DEGREES = (-0.5, -0.25, 0.0, 0.25, 0.5)
_REFINED = 8  # of the places of the coarse search


@dataclass(frozen=True)
class WatermarkReading:
    """A watermark that was found.

    Attributes:
        payload: its number.
        score: height of the pilot's peak, in standard deviations of the surface it stands on.
        chip_agreement: share of chips before error correction that have the payload's sign; 0.5 is chance.
        mirrored, zoom, angle_degrees: how the picture was changed against the marked one.
    """

    payload: int
    score: float
    chip_agreement: float
    mirrored: bool
    zoom: float
    angle_degrees: float


@dataclass(frozen=True)
class _Place:
    score: float
    mirrored: bool
    zoom: float
    angle_degrees: float
    shift: tuple[float, float]


class WatermarkReader:
    """Collects frames and reads the mark that they share."""

    def __init__(self) -> None:
        self._camera = CameraTracker()
        self._still: Tensor | None = None  # [h, w], the sum of all blocks where they lie
        self._carried: list[tuple[Tensor, tuple[int, int]]] = []  # blocks, and where the camera had them

    def add(self, luma: Tensor) -> None:
        """Add frames [N, H, W] in grey levels 0..255, any number at a time, all of one size."""
        for block in luma.split(_BLOCK_FRAMES):
            places = self._camera.follow(small_luma(block))
            field = _whitened(to_grid(block.mean(0, keepdim=True)), len(block))
            self._still = field if self._still is None else self._still + field
            at = places[0].round()
            if not bool((places == at).all()):
                pairs = zip(to_grid(block), places, strict=True)
                together = torch.stack([moved(grid, at - place, "bicubic") for grid, place in pairs])
                field = _whitened(together.mean(0, keepdim=True), len(block))
            self._carried.append((field, (int(at[0]), int(at[1]))))

    def read(self) -> WatermarkReading | None:
        """The mark in the frames added so far; None if there is none that can be read."""
        if self._still is None:
            return None
        fields = [self._still]
        if any(at != (0, 0) for _, at in self._carried):
            fields.append(_brought_back(self._carried))
        places = [(place, field) for field in fields for place in _find_places(field)]
        places.sort(key=lambda found: -found[0].score)
        for place, field in places[:CANDIDATES]:
            if place.score < _LEAST_SCORE:
                break
            chips = _chips_at(field, place)
            payload = decode_payload(chips)
            if payload is not None:
                agreement = float(np.mean(np.sign(chips) == encode_payload(payload)))
                return WatermarkReading(
                    payload, place.score, agreement, place.mirrored, place.zoom, place.angle_degrees
                )
        return None


def _whitened(grid: Tensor, count: int) -> Tensor:
    """What a reader sees of the mean [1, h, w] of so many pictures, [h, w]."""
    details = detail(grid)
    return count * (details / loudness(details))[0]


def _brought_back(carried: list[tuple[Tensor, tuple[int, int]]]) -> Tensor:
    """The sum of blocks [h, w], each where it was before the camera moved; too far ones are left out."""
    near = [(field, at) for field, at in carried if max(map(abs, at)) <= _FARTHEST_CELLS]
    down, right = ([at[axis] for _, at in near] for axis in (0, 1))
    height, width = near[0][0].shape
    whole = torch.zeros(height + max(down) - min(down), width + max(right) - min(right))
    for field, at in near:
        top, left = max(down) - at[0], max(right) - at[1]
        whole[top : top + height, left : left + width] += field
    return whole


def _find_places(field: Tensor) -> list[_Place]:
    """The likeliest places of the tile, best first: a coarse search in the middle, then a fine one in all."""
    coarse = [
        place
        for mirrored in (False, True)
        for zoom in _ZOOMS
        for place in _scores(_middle(field, 1.3 * TILE), mirrored, float(zoom), _ANGLES_DEGREES)
    ]
    coarse.sort(key=lambda place: -place.score)
    found = []
    for place in coarse[:_REFINED]:
        near = [
            fine
            for zoom in _FINE_ZOOMS
            for fine in _scores(
                field,
                place.mirrored,
                place.zoom * zoom,
                place.angle_degrees + np.array(_FINE_ANGLES_DEGREES),
            )
        ]
        found.append(max(near, key=lambda fine: fine.score))
    return found


def _middle(field: Tensor, side: float) -> Tensor:
    height, width = (min(length, round(side)) for length in field.shape)
    top, left = (field.shape[0] - height) // 2, (field.shape[1] - width) // 2
    return field[top : top + height, left : left + width]


def _scores(field: Tensor, mirrored: bool, zoom: float, angles_degrees: np.ndarray) -> list[_Place]:
    """The best shift of the tile for each angle."""
    found = []
    for angle in angles_degrees.tolist():
        surface = _pilot_surface(_spectrum(field, mirrored, zoom, angle))
        peak = int(surface.argmax())
        row, column = divmod(peak, TILE)
        deviation = float(surface.std())
        score = float(surface[row, column]) / deviation if deviation > 0 else 0.0
        found.append(_Place(score, mirrored, zoom, angle, _between_cells(surface, row, column)))
    return found


def _spectrum(field: Tensor, mirrored: bool, zoom: float, angle_degrees: float) -> Tensor:
    """Spectrum of the tile of a field [h, w] that was mirrored, then turned and zoomed about its middle."""
    return torch.fft.rfft2(fold(_undone(field, mirrored, zoom, angle_degrees)[None])[0], norm="ortho")


def _undone(field: Tensor, mirrored: bool, zoom: float, angle_degrees: float) -> Tensor:
    source = field.flip(1) if mirrored else field
    if zoom == 1 and angle_degrees == 0:
        return source
    height, width = source.shape
    size = (round(height / zoom), round(width / zoom))
    turned = math.radians(angle_degrees)
    cosine, sine = math.cos(turned), math.sin(turned)
    # Rows of the matrix are in halves of the field's sides, as affine_grid wants them.
    zoom_x, zoom_y = size[1] * zoom / width, size[0] * zoom / height
    matrix = torch.tensor(
        [
            [cosine * zoom_x, -sine * zoom_y * height / width, 0],
            [sine * zoom_x * width / height, cosine * zoom_y, 0],
        ]
    )
    at = F.affine_grid(matrix[None], [1, 1, *size], align_corners=False)
    return F.grid_sample(source[None, None], at, mode="bilinear", align_corners=False)[0, 0]


def _pilot_surface(spectrum: Tensor) -> Tensor:
    """Likeness [128, 128] of a tile with the pilot, for every shift."""
    return torch.fft.irfft2(spectrum * pattern().pilot_spectrum.conj(), s=(TILE, TILE))


def _between_cells(surface: Tensor, row: int, column: int) -> tuple[float, float]:
    """Where the peak at a cell has its top, by a parabola through its neighbours."""

    def top(before: float, here: float, after: float) -> float:
        bend = before - 2 * here + after
        return 0.0 if bend == 0 else max(-0.5, min(0.5, (before - after) / (2 * bend)))

    here = float(surface[row, column])
    above, below = float(surface[row - 1, column]), float(surface[(row + 1) % TILE, column])
    left, right = float(surface[row, column - 1]), float(surface[row, (column + 1) % TILE])
    return row + top(above, here, below), column + top(left, here, right)


def _chips_at(field: Tensor, place: _Place) -> np.ndarray:
    """The chips [CHIP_COUNT] of the tile at a place."""
    spectrum = _spectrum(field, place.mirrored, place.zoom, place.angle_degrees)
    rows = torch.fft.fftfreq(TILE)[:, None] * place.shift[0]
    columns = torch.fft.rfftfreq(TILE)[None] * place.shift[1]
    back = torch.polar(torch.ones_like(rows + columns), 2 * math.pi * (rows + columns))
    return pattern().collect((spectrum * back)[None])[0, :CHIP_COUNT].double().numpy()
