"""How far a moving camera has carried the whole picture, so that the watermark can go with it.

A mark that stands still while everything else moves has to be coded anew in every frame. Displacements are
found by least squares (Lucas and Kanade, "An iterative image registration technique", IJCAI 1981), and
believed only where they explain most parts of the picture: a head that moves before a wall is no camera.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from .pattern import TILE, blur, luma_of

FAR_CELLS = 12.0
"""A picture that was moved as far has too much that is new at its borders."""

_PARTS_CELLS = 16
_SEEN_CHANGE = 0.5  # grey levels: what a part has to change by to count as changed
_EXPLAINED = 0.6  # of its change may be left where the displacement is believed
_MOST = 0.5  # of the parts
_ANOTHER_PICTURE = 8.0  # grey levels of mean change that no displacement explains
_GRAIN_CELLS = 1.0  # standard deviation of what grain is smoothed by
_BLURS, _STEPS = (4.0, 1.0), 3


def small_luma(pictures: Tensor) -> Tensor:
    """Pictures [N, 3, H, W] in 0..1, or luma [N, H, W] in 0..255, as luma of a cell a pixel, [N, h, w]."""
    pictures = pictures if pictures.ndim == 4 else pictures[:, None]
    scale = TILE / min(pictures.shape[-2:])
    size = (round(pictures.shape[-2] * scale), round(pictures.shape[-1] * scale))
    small = F.interpolate(pictures.float(), size=size, mode="area" if scale < 1 else "bilinear")
    return luma_of(small) if small.shape[1] == 3 else small[:, 0]


def moved(field: Tensor, by: Tensor, mode: str = "bilinear") -> Tensor:
    """A field [h, w] whose content is carried `by` cells (down, right); borders are repeated."""
    if not by.any():
        return field
    height, width = field.shape
    matrix = torch.tensor([[1, 0, -2 * float(by[1]) / width], [0, 1, -2 * float(by[0]) / height]])
    grid = F.affine_grid(matrix[None], [1, 1, height, width], align_corners=False)
    return F.grid_sample(field[None, None], grid, mode, "border", align_corners=False)[0, 0]


class CameraTracker:
    """Follows a row of pictures from the first one on."""

    def __init__(self) -> None:
        self._anchor: Tensor | None = None  # [h, w]
        self._anchor_at = torch.zeros(2)
        self._since, self._velocity = torch.zeros(2), torch.zeros(2)

    def follow(self, pictures: Tensor) -> Tensor:
        """Where the content of the first picture ever seen lies in each of the next ones.

        Args:
            pictures: [N, h, w], luma 0..255, as `small_luma` gives them.

        Returns:
            [N, 2] cells, down and right.
        """
        return torch.stack([self._next(picture) for picture in pictures])

    def _next(self, picture: Tensor) -> Tensor:
        picture = blur(picture[None], _GRAIN_CELLS)[0]
        if self._anchor is None:
            self._anchor = picture
        still = _part_changes(picture, moved(self._anchor, self._since))
        changed = still > _SEEN_CHANGE
        moving = bool(self._velocity.any())
        if not moving and changed.float().mean() < _MOST:
            return self._anchor_at + self._since
        since = _displacement(self._anchor, picture, self._since + self._velocity)
        left = _part_changes(picture, moved(self._anchor, since))
        # A move that goes on is too small from one picture to the next to be told from grain by every part.
        explained = moving and bool(left.mean() <= still.mean())
        explained |= bool((changed & (left < _EXPLAINED * still)).float().mean() >= _MOST)
        if explained:
            self._velocity, self._since = since - self._since, since
        else:
            self._velocity = torch.zeros(2)
        place = self._anchor_at + self._since
        change = float((left if explained else still).mean())
        if float(self._since.abs().max()) > FAR_CELLS or change > _ANOTHER_PICTURE:
            self._anchor, self._anchor_at, self._since = picture, place, torch.zeros(2)
        return place


def _part_changes(picture: Tensor, other: Tensor) -> Tensor:
    """Mean change of each part [1, rows, columns]."""
    return F.avg_pool2d((picture - other).abs()[None], _PARTS_CELLS)


def _displacement(before: Tensor, after: Tensor, start: Tensor) -> Tensor:
    """By how many cells (down, right) the content of one picture [h, w] lies elsewhere in the other."""
    by = start.clone()
    for deviation in _BLURS:
        smooth, target = blur(before[None], deviation)[0], blur(after[None], deviation)[0]
        for _ in range(_STEPS):
            here = moved(smooth, by)
            down, right = torch.gradient(here)
            inside = (slice(8, -8), slice(8, -8))
            slopes = torch.stack([down[inside].flatten(), right[inside].flatten()])  # [2, n]
            normal = slopes @ slopes.T + 1e-3 * torch.eye(2)
            by = by - torch.linalg.solve(normal, slopes @ (target - here)[inside].flatten())
    return by
