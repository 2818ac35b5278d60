"""Pixels as bytes."""

import torch
from torch import Tensor


def to_bytes(pixels: Tensor) -> Tensor:
    """Pixels in 0..1 -> uint8 of the same shape."""
    return (pixels.clamp(0, 1) * 255).round().to(torch.uint8)
