"""The animated part of a picture back into the whole of it."""

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError
from .graph_tensors import frames_of_images
from .portrait import CropBox

# So many frames are enlarged together.
_FRAMES_AT_ONCE = 16


def paste_back(images: Tensor, picture: Tensor, crop: CropBox, feather: float) -> Tensor:
    """The animated part of a picture laid over the whole of it, its edge blended.

    Args:
        images: the animated part, IMAGE [F, h, w, 3] of any size.
        picture: the whole picture, IMAGE [1, H, W, 3].
        crop: where the part was cut out.
        feather: width of the blend inside the part's edge, as a share of its shorter side, 0 to 0.5. Sides on
            the picture's border are not blended.

    Returns:
        IMAGE [F, H, W, 3].

    Raises:
        InputError: several pictures, or a part that was not cut out of this picture.
    """
    height_px, width_px = picture.shape[1:3]
    if len(picture) != 1 or crop.x + crop.width > width_px or crop.y + crop.height > height_px:
        raise InputError(
            got=f"{len(picture)} pictures of {width_px}x{height_px} pixels for a part at "
            f"({crop.x}, {crop.y}) of {crop.width}x{crop.height}",
            allowed="the one picture that the part was cut out of",
            do="connect the picture that goes into the EMO reference net",
        )
    weight = _feather(crop, width_px, height_px, feather)[None, :, :, None]
    whole = picture.expand(len(images), -1, -1, -1).clone()
    rows, columns = slice(crop.y, crop.y + crop.height), slice(crop.x, crop.x + crop.width)
    for low in range(0, len(images), _FRAMES_AT_ONCE):
        some = slice(low, low + _FRAMES_AT_ONCE)
        resized = F.interpolate(
            frames_of_images(images[some]), (crop.height, crop.width), mode="bicubic", antialias=True
        )
        part = resized.clamp(0, 1).permute(0, 2, 3, 1)
        whole[some, rows, columns] = torch.lerp(whole[some, rows, columns], part, weight)
    return whole


def _feather(crop: CropBox, width_px: int, height_px: int, share: float) -> Tensor:
    """Weights [h, w] of the part: 1 inside, falling to 0 towards its edges within the picture."""
    blend_px = max(share * min(crop.width, crop.height), 1e-6)

    def ramp(length: int, starts_inside: bool, ends_inside: bool) -> Tensor:
        place = torch.arange(length) + 0.5
        rise = (place / blend_px).clamp(max=1) if starts_inside else torch.ones(length)
        fall = ((length - place) / blend_px).clamp(max=1) if ends_inside else torch.ones(length)
        return torch.minimum(rise, fall)

    across = ramp(crop.width, crop.x > 0, crop.x + crop.width < width_px)
    down = ramp(crop.height, crop.y > 0, crop.y + crop.height < height_px)
    edge = torch.minimum(across[None], down[:, None])
    return edge * edge * (3 - 2 * edge)
