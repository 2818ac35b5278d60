"""A batch of pictures that is painted layer over layer, and the few shapes the layers are made of.

Shapes are signed distances (negative inside). Coverage falls to exactly 0 within about a pixel of an edge, so
painting a small window of the picture gives the very pixels that painting all of it would give.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

EDGE_WIDTH_PX = 1.3  # a little softer than a box filter: thin lines do not shimmer under small movements


def pixel_centres(size_px: int, device: torch.device) -> Tensor:
    """Coordinates [size_px] of the middles of a row of pixels, in half-widths of the picture: -1..1."""
    return (torch.arange(size_px, device=device) + 0.5) * (2.0 / size_px) - 1


@dataclass(frozen=True)
class Canvas:
    """Pictures [B, 3, h, w] being painted in place, with the coordinates of their pixels.

    x is [B or 1, 1, w] and y is [B or 1, h, 1], both in half-widths of the whole picture: -1..1, y down.
    """

    image: Tensor  # [B, 3, h, w]
    x: Tensor
    y: Tensor
    pixel: float  # width of a pixel in half-widths of the picture

    @classmethod
    def blank(cls, count: int, size_px: int, device: torch.device) -> "Canvas":
        """A black square canvas for `count` pictures."""
        axis = pixel_centres(size_px, device)
        image = torch.zeros(count, 3, size_px, size_px, device=device)
        return cls(image, axis.view(1, 1, -1), axis.view(1, -1, 1), 2.0 / size_px)

    def paint(self, colour: Tensor, coverage: Tensor) -> None:
        """Lays a colour ([B, 3, 1, 1] or [B, 3, h, w]) over the picture where coverage [B, h, w] is not 0."""
        self.image.lerp_(colour, coverage.unsqueeze(1))


@dataclass(frozen=True)
class Window:
    """A part of a canvas of the same size in every picture, but at a place of its own in each."""

    canvas: Canvas  # a copy of the part, to be painted
    whole: Canvas
    index: Tensor  # [B, 1, h * w], position of the window's pixels in the flattened picture

    @classmethod
    def around(cls, whole: Canvas, centre: tuple[Tensor, Tensor], half_size: tuple[float, float]) -> "Window":
        """Cuts the window around `centre` ([B, 1, 1] each), `half_size` in half-widths of the picture."""
        size_px = whole.image.shape[-1]
        offsets, extents = [], []
        for middle, half in zip(centre, half_size, strict=True):
            extent = min(size_px, int(2 * half / whole.pixel) + 2)
            first = ((middle + 1) / whole.pixel - extent / 2).round().long().clamp(0, size_px - extent)
            offsets.append(first)
            extents.append(torch.arange(extent, device=whole.image.device))
        column = offsets[0] + extents[0].view(1, 1, -1)  # [B, 1, w]
        row = offsets[1] + extents[1].view(1, -1, 1)  # [B, h, 1]
        index = (row * size_px + column).flatten(1).unsqueeze(1)
        patch = whole.image.flatten(2).gather(2, index.expand(-1, 3, -1))
        patch = patch.view(len(patch), 3, row.shape[1], column.shape[2])
        x, y = (column + 0.5) * whole.pixel - 1, (row + 0.5) * whole.pixel - 1
        return cls(Canvas(patch, x, y, whole.pixel), whole, index)

    def crop(self, plane: Tensor) -> Tensor:
        """The part of a full-size plane [B, S, S] that lies in the window: [B, h, w]."""
        height, width = self.canvas.image.shape[-2:]
        return plane.flatten(1).gather(1, self.index[:, 0]).view(-1, height, width)

    def put_back(self) -> None:
        """Writes the painted window into the whole picture."""
        self.whole.image.flatten(2).scatter_(2, self.index.expand(-1, 3, -1), self.canvas.image.flatten(2))


def coverage_of(distance: Tensor, pixel: Tensor | float) -> Tensor:
    """Share of each pixel that lies inside a shape, from its signed distance in the unit of `pixel`."""
    return (0.5 - distance / (pixel * EDGE_WIDTH_PX)).clamp_(0, 1)


def ellipse(dx: Tensor, dy: Tensor, rx: Tensor, ry: Tensor) -> Tensor:
    """Distance to an ellipse with half-axes rx, ry around the origin (first order: exact at the edge)."""
    ax, ay = dx / rx, dy / ry
    radius_squared = ax * ax + ay * ay
    slope = torch.sqrt((ax / rx) ** 2 + (ay / ry) ** 2 + 1e-9)
    return (radius_squared - 1) / (2 * slope)


def bump(dx: Tensor, dy: Tensor, rx: Tensor | float, ry: Tensor | float) -> Tensor:
    """A smooth spot, 1 in the middle and 0 from the ellipse rx, ry outwards."""
    return (1 - (dx / rx) ** 2 - (dy / ry) ** 2).clamp_(min=0).square_()


def smooth_max(a: Tensor, b: Tensor, radius: float) -> Tensor:
    """Intersection of two shapes with its corners rounded by about `radius`."""
    blend = (radius - (a - b).abs()).clamp_(min=0)
    return torch.maximum(a, b) + blend * blend / (4 * radius)
