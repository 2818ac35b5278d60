"""Masks and drawings that tell the public checkpoints where the face is, from its box."""

import torch
from torch import Tensor
from torch.nn import functional as F

from ..models.region_audio import VoiceRegions
from .face_region import FaceRegion, face_mask

# Where lips, eyes and nose lie in an upright face's box, as shares of its width and height.
_LIPS = (0.3, 0.68, 0.4, 0.18)
_KEY_POINTS = ((0.32, 0.4), (0.68, 0.4), (0.5, 0.62))
_POINT_COLOURS = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_STICK_SHARE, _STICK_PX = 0.6, 4.0


def widened(region: FaceRegion, factor: float) -> FaceRegion:
    """The box grown around its centre to `factor` times its size."""
    width, height = region.width * factor, region.height * factor
    x, y = region.x + (region.width - width) / 2, region.y + (region.height - height) / 2
    return FaceRegion(x, y, width, height)


def lip_region(face: FaceRegion) -> FaceRegion:
    """Where the lips of an upright face are, from proportions alone."""
    x, y, width, height = _LIPS
    return FaceRegion(
        face.x + x * face.width, face.y + y * face.height, width * face.width, height * face.height
    )


def rectangle(region: FaceRegion, width_px: int, height_px: int) -> Tensor:
    """A box as mask [1, 1, height, width] in a picture of this size, clipped to it."""
    return face_mask(region.clamped(width_px, height_px), height_px, width_px)


def voice_regions(
    face: FaceRegion,
    lips: FaceRegion,
    side_px: int,
    levels: int,
    weights: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> VoiceRegions:
    """Three soft masks that share out the picture: around the face, face without lips, lips.

    The boxes, the face's widened by 1.2 and the lips' by 2, are brought to an eighth of the picture's side,
    blurred and stretched to the full range of 8 bits (the preparation of Hallo, arXiv 2406.08801).

    Args:
        face, lips: boxes in a square picture.
        side_px: its side, a multiple of 8.
        levels: halvings of the latents' sides, and one.
        weights: of the three.
    """
    side = side_px // 8
    soft_face = _soft(rectangle(widened(face, 1.2), side_px, side_px), side, 51)
    soft_lips = _soft(rectangle(widened(lips, 2.0), side_px, side_px), side, 31)
    shares = torch.cat([1 - soft_face, (soft_face - soft_lips).clamp(min=0), soft_lips])  # [3, 1, side, side]
    masks = []
    for depth in range(levels):
        size = (side >> depth, side >> depth)
        resized = F.interpolate(shares, size, mode="bicubic", antialias=True).clamp(0, 1)
        masks.append(((255 * resized).round() / 255).flatten(2))
    return VoiceRegions(tuple(masks), weights)


def _soft(mask: Tensor, side: int, kernel: int) -> Tensor:
    """A mask at another side, blurred over `kernel` places and stretched to 0..255, in 0..1."""
    small = F.interpolate(mask, (side, side), mode="bilinear")
    sigma = 0.3 * ((kernel - 1) * 0.5 - 1) + 0.8  # OpenCV's rule for a kernel's deviation
    places = torch.arange(kernel) - kernel // 2
    weights = torch.exp(-0.5 * (places / sigma) ** 2)
    weights = weights / weights.sum()
    reach = min(kernel // 2, side - 1)
    inner = weights[kernel // 2 - reach : kernel // 2 + reach + 1]
    padded = F.pad(small, (reach,) * 4, mode="reflect")
    blurred = F.conv2d(F.conv2d(padded, inner[None, None, None]), inner[None, None, :, None])
    low, high = blurred.aminmax()
    return ((blurred - low) / (high - low).clamp(min=1e-6) * 255).floor() / 255


def key_points_of(face: FaceRegion) -> Tensor:
    """x and y of both eyes, the picture's left one first, and nose [3, 2]: where an upright face has them."""
    return torch.tensor([(face.x + x * face.width, face.y + y * face.height) for x, y in _KEY_POINTS])


def draw_key_points(points: Tensor, width_px: int, height_px: int) -> Tensor:
    """Eyes and nose [3, 2], x and y in pixels, drawn as a V [1, 3, height, width] in 0..1.

    Two sticks lead from the eyes to the nose, and a disc of 4 pixels lies on each point (V-Express, arXiv
    2406.02511).
    """
    rows, columns = torch.meshgrid(torch.arange(height_px), torch.arange(width_px), indexing="ij")
    drawing = torch.zeros(1, 3, height_px, width_px)
    nose = points[2]
    for eye, colour in zip(points[:2], _POINT_COLOURS[:2], strict=True):
        middle, along = (eye + nose) / 2, (eye - nose)
        length = along.norm()
        x, y = columns - middle[0], rows - middle[1]
        lengthwise = (x * along[0] + y * along[1]) / length
        across = (-x * along[1] + y * along[0]) / length
        inside = (lengthwise / (length / 2)) ** 2 + (across / _STICK_PX) ** 2 <= 1
        drawing[0, :, inside] = _STICK_SHARE * torch.tensor(colour)[:, None]
    for (x, y), colour in zip(points.tolist(), _POINT_COLOURS, strict=True):
        inside = (columns - int(x)) ** 2 + (rows - int(y)) ** 2 <= _STICK_PX**2
        drawing[0, :, inside] = torch.tensor(colour)[:, None]
    return drawing
