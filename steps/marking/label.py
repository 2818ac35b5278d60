"""A visible label in the lower left corner of the first frames."""

import math
from functools import cache

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ...errors import InputError

_HEIGHT_SHARE = 0.05
"""Height of the letters against the short side of the picture, as GB 45438-2025 asks at the least."""

_CAPITAL_SHARE = 0.64  # of the font's size
_LEAST_HEIGHT_PX = 9
_BACKGROUND_OPACITY = 0.65


def draw_label(frames: Tensor, text: str) -> Tensor:
    """Frames [N, 3, H, W] in 0..1 with white letters on a dark plate.

    Raises:
        InputError: the text has letters that the font lacks.
    """
    opacity, letters = _plate(text, frames.shape[-2], frames.shape[-1])
    return frames * (1 - opacity) + letters.to(frames)


@cache
def _plate(text: str, height_px: int, width_px: int) -> tuple[Tensor, Tensor]:
    """How much of the picture is covered [H, W], and by which brightness [H, W]."""
    size_px = max(_LEAST_HEIGHT_PX, math.ceil(_HEIGHT_SHARE * min(height_px, width_px) / _CAPITAL_SHARE))
    font = ImageFont.load_default(size_px)
    _check_letters(text)
    margin = max(2, size_px // 4)
    left, top, right, bottom = font.getbbox(text)
    while right - left + 4 * margin > width_px and size_px > 5:
        size_px -= 1
        font = ImageFont.load_default(size_px)
        left, top, right, bottom = font.getbbox(text)
    box = (margin, height_px - margin - round(bottom - top) - 2 * margin)
    plate = Image.new("L", (width_px, height_px))
    draw = ImageDraw.Draw(plate)
    draw.rectangle((*box, box[0] + right - left + 2 * margin, height_px - margin), fill=255)
    covered = torch.from_numpy(np.array(plate, np.float32)) / 255 * _BACKGROUND_OPACITY
    ink = Image.new("L", (width_px, height_px))
    ImageDraw.Draw(ink).text((box[0] + margin - left, box[1] + margin - top), text, fill=255, font=font)
    letters = torch.from_numpy(np.array(ink, np.float32)) / 255
    return torch.maximum(covered, letters), letters


def _check_letters(text: str) -> None:
    if not (text.isascii() and text.isprintable()):
        raise InputError(
            got=f"a label {text!r}, which the built-in font cannot draw",
            allowed="English letters, digits and punctuation",
            do="use such a text, or draw the label with another program",
        )
