"""What the face region shows: the picture with its boxes, the part that moves, a copy for the browser."""

import math
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from .face_region import FaceRegion
from .pixels import to_bytes
from .portrait import Portrait

FACE_COLOUR = (0.18, 0.84, 0.45)
MOVEMENT_COLOUR = (1.0, 0.72, 0.16)
# A line is this share of the picture's shorter side, and at least so many pixels.
_LINE_SHARE, _THINNEST_PX = 1 / 150, 2
_JPEG_QUALITY = 88


def cut_out(portrait: Portrait, region: FaceRegion) -> Tensor:
    """The part of the picture that a region touches, in whole pixels of the picture [1, 3, h, w]."""
    height_px, width_px = portrait.pixels.shape[-2:]
    left, top, right, bottom = _whole_pixels(region, width_px, height_px)
    return portrait.pixels[:, :, top:bottom, left:right]


def draw_boxes(portrait: Portrait, face: FaceRegion, movement: FaceRegion) -> Tensor:
    """The picture [1, 3, H, W] with the outlines of the face and of the box it may move in."""
    pixels = portrait.pixels.clone()
    line_px = max(_THINNEST_PX, round(_LINE_SHARE * min(pixels.shape[-2:])))
    for region, colour in ((movement, MOVEMENT_COLOUR), (face, FACE_COLOUR)):
        _draw_outline(pixels, region, colour, line_px)
    return pixels


def _draw_outline(
    pixels: Tensor, region: FaceRegion, colour: tuple[float, float, float], line_px: int
) -> None:
    height_px, width_px = pixels.shape[-2:]
    left, top, right, bottom = _whole_pixels(region, width_px, height_px)
    paint = torch.tensor(colour, dtype=pixels.dtype)[:, None, None]
    rows = slice(top + line_px, max(top + line_px, bottom - line_px))
    columns = slice(left + line_px, max(left + line_px, right - line_px))
    inner = pixels[:, :, rows, columns].clone()
    pixels[:, :, top:bottom, left:right] = paint
    pixels[:, :, rows, columns] = inner


def _whole_pixels(region: FaceRegion, width_px: int, height_px: int) -> tuple[int, int, int, int]:
    left, top = max(0, math.floor(region.x)), max(0, math.floor(region.y))
    return left, top, min(width_px, math.ceil(region.right)), min(height_px, math.ceil(region.bottom))


def save_small_copy(portrait: Portrait, path: Path, longest_side_px: int) -> None:
    """Write the picture as JPEG, scaled down to a longest side where it is larger."""
    height_px, width_px = portrait.pixels.shape[-2:]
    scale = min(1.0, longest_side_px / max(height_px, width_px))
    size = (max(1, round(height_px * scale)), max(1, round(width_px * scale)))
    small = F.interpolate(portrait.pixels, size, mode="bilinear", antialias=True)
    picture = to_bytes(small[0].permute(1, 2, 0))
    Image.fromarray(picture.numpy()).save(path, "JPEG", quality=_JPEG_QUALITY)
