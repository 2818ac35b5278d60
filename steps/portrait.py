"""Reading a portrait from a file, and fitting it to the size a model works at."""

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch.nn import functional as F

from ..errors import InputError
from .face_region import FaceRegion, parse_region

log = logging.getLogger(__name__)

REGION_KEY = "face_region"
"""PNG text chunk that holds a portrait's face region as "x,y,width,height" in stored pixels."""

MIN_SIDE_PX = 16
# 80 megapixels: above any camera's portrait, and 1 GB once it is a float tensor.
MAX_PIXELS = 80_000_000
_ORIENTATION_TAG = 0x0112
_MODES_WITH_ALPHA = ("RGBA", "RGBa", "LA", "La", "PA")


@dataclass(frozen=True, eq=False)
class Portrait:
    """A picture of a person.

    Attributes:
        pixels: [1, 3, H, W], RGB, 0 to 1.
        source: where it came from, for messages.
        face_region: the face in pixels of `pixels`, where the picture itself says so.
    """

    pixels: torch.Tensor
    source: str
    face_region: FaceRegion | None = None

    def __post_init__(self) -> None:
        """Raises InputError: not [1, 3, H, W], smaller than MIN_SIDE_PX, not finite, or outside 0 to 1."""
        shape = tuple(self.pixels.shape)
        if len(shape) != 4 or shape[:2] != (1, 3) or min(shape[2:]) < MIN_SIDE_PX:
            raise InputError(
                got=f"{self.source}: a picture of shape {shape}",
                allowed=f"[1, 3, height, width], with both sides at least {MIN_SIDE_PX} pixels",
                do="use a larger picture",
            )
        low, high = (float(value) for value in self.pixels.aminmax())
        if not (low >= 0 and high <= 1):
            raise InputError(
                got=f"{self.source}: pixel values from {low:g} to {high:g}",
                allowed="values from 0 to 1",
                do="scale the picture to 0..1",
            )


@dataclass(frozen=True)
class CropBox:
    """A part of a picture, in whole pixels."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, eq=False)
class FittedPortrait:
    """A portrait at the size of a model.

    Attributes:
        pixels: [1, 3, height, width] of the size asked for, 0 to 1.
        crop: the part of the source picture it shows.
        region: the face in pixels of `pixels`.
    """

    pixels: torch.Tensor
    crop: CropBox
    region: FaceRegion


def read_portrait(path: str | Path) -> Portrait:
    """Read a picture of any format Pillow knows.

    Rotation from EXIF is applied, transparency is laid over white, and of an animation the first picture is
    taken; the last two are logged. A PNG text chunk "face_region" becomes the portrait's face region.

    Raises:
        InputError: not a picture, damaged, too small or too large, or a face region outside the picture.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures; this project refuses them below in its own words.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(path)
        with picture:
            _check_size(path, picture.width, picture.height)
            if getattr(picture, "n_frames", 1) > 1:
                log.warning("%s is animated: its first picture is used", path)
            picture.load()
            pixels = _to_pixels(ImageOps.exif_transpose(picture), path)
            region = _stored_region(picture, path)
    except UnidentifiedImageError:
        raise _unreadable(path, "not a picture that Pillow knows") from None
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise _unreadable(path, str(error)) from error
    return Portrait(pixels, str(path), region)


def _unreadable(path: str | Path, why: str) -> InputError:
    return InputError(
        got=f"{path}: {why}",
        allowed=f"a whole picture (PNG, JPEG, WebP, TIFF, ...) of up to {MAX_PIXELS // 1_000_000} megapixels",
        do="check the path, and save the picture anew as PNG or JPEG",
    )


def _check_size(path: str | Path, width_px: int, height_px: int) -> None:
    if width_px * height_px > MAX_PIXELS:
        raise InputError(
            got=f"{path}: {width_px}x{height_px} pixels",
            allowed=f"at most {MAX_PIXELS // 1_000_000} megapixels",
            do="scale the picture down",
        )


def _to_pixels(picture: Image.Image, path: str | Path) -> torch.Tensor:
    """Turn a picture of any mode into [1, 3, H, W] of 0..1."""
    if picture.mode.startswith("I") or picture.mode == "F":
        grey = torch.from_numpy(_deep_grey(picture, path))
        return grey.expand(1, 3, *grey.shape).contiguous()
    if picture.mode in _MODES_WITH_ALPHA or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        if rgba.getchannel("A").getextrema() != (255, 255):
            log.warning("%s has transparent parts: they are laid over white", path)
        picture = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    rgb = torch.from_numpy(np.array(picture.convert("RGB")))
    return rgb.permute(2, 0, 1)[None].float().div_(255).contiguous()


def _deep_grey(picture: Image.Image, path: str | Path) -> np.ndarray:
    """Grey values of a picture of 16 or 32 bits a pixel as [H, W] of 0..1."""
    values = np.array(picture).astype(np.float32)
    # Pillow reads 16-bit PNG into modes "I;16" and "I", and floating-point TIFF into "F".
    scale = 1.0 if picture.mode == "F" else 65535.0
    values /= scale
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise InputError(
            got=f"{path}: grey values of mode {picture.mode} beyond 0..{scale:g}",
            allowed="8 or 16 bits a channel, or floating point from 0 to 1",
            do="save the picture anew as 8-bit PNG",
        )
    return values


def _stored_region(picture: Image.Image, path: str | Path) -> FaceRegion | None:
    """The region in the file's own text chunk, turned with the picture."""
    text = picture.info.get(REGION_KEY)
    if not isinstance(text, str):
        return None
    region = parse_region(text)
    region.check_inside(picture.width, picture.height)
    orientation = picture.getexif().get(_ORIENTATION_TAG, 1)
    if orientation == 1:
        return region
    log.info("%s: its face region is turned with the picture", path)
    drawn = Image.new("L", picture.size)
    drawn.paste(255, (round(region.x), round(region.y), round(region.right), round(region.bottom)))
    drawn.getexif()[_ORIENTATION_TAG] = orientation
    left, top, right, bottom = ImageOps.exif_transpose(drawn).getbbox() or (0, 0, 0, 0)
    return FaceRegion(left, top, right - left, bottom - top)


def fit_portrait(
    portrait: Portrait, region: FaceRegion, size_px: tuple[int, int], face_share: float | None = None
) -> FittedPortrait:
    """Crop a portrait to the aspect of a size around the face, and resize it.

    Without `face_share` the crop is the largest of that aspect: the whole picture if it has it already. The
    crop lies around the face as centrally as the picture's borders allow, and never reaches beyond them.

    Args:
        portrait: the picture.
        region: the face in its pixels.
        size_px: (width, height) to fit to.
        face_share: the face's height as a share of the crop's, as the model expects it. Around a face that is
            smaller in the picture the crop gets tighter; around a larger one it stays the largest there is.

    Raises:
        InputError: the region leaves the picture, the size is empty, or face_share is outside 0..1.
    """
    height_px, width_px = portrait.pixels.shape[-2:]
    region.check_inside(width_px, height_px)
    if min(size_px) < 1:
        raise InputError(got=f"size {size_px}", allowed="a width and height of 1 or more", do="set the size")
    if face_share is not None and not 0 < face_share <= 1:
        raise InputError(
            got=f"face_share {face_share}", allowed="above 0, up to 1", do="set it, for example to 0.5"
        )
    crop = _crop_around(region, width_px, height_px, size_px, face_share)
    factor_x, factor_y = size_px[0] / crop.width, size_px[1] / crop.height
    if max(factor_x, factor_y) > 1:
        log.warning(
            "%s: %dx%d pixels around the face are enlarged to %dx%d; a larger picture gives a sharper video",
            portrait.source,
            crop.width,
            crop.height,
            *size_px,
        )
    moved = FaceRegion(region.x - crop.x, region.y - crop.y, region.width, region.height)
    inside = moved.clamped(crop.width, crop.height)
    # Less than a hundredth of a pixel is rounding, not a cut.
    if moved.width - inside.width > 0.01 or moved.height - inside.height > 0.01:
        log.warning("%s: the face region is cut where it leaves the %d:%d format", portrait.source, *size_px)
    part = portrait.pixels[:, :, crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]
    resized = F.interpolate(part, (size_px[1], size_px[0]), mode="bicubic", antialias=True).clamp(0, 1)
    return FittedPortrait(resized, crop, inside.scaled(factor_x, factor_y))


def _crop_around(
    region: FaceRegion, width_px: int, height_px: int, size_px: tuple[int, int], face_share: float | None
) -> CropBox:
    aspect = size_px[0] / size_px[1]
    height = min(float(height_px), width_px / aspect)
    if face_share is not None:
        # Tighter, but never so tight that the face itself is cut.
        wanted = max(region.height / face_share, region.height, region.width / aspect)
        height = min(height, wanted)
    crop_width = min(width_px, max(1, round(height * aspect)))
    crop_height = min(height_px, max(1, round(height)))
    x = round(region.x + region.width / 2 - crop_width / 2)
    y = round(region.y + region.height / 2 - crop_height / 2)
    return CropBox(
        min(max(x, 0), width_px - crop_width),
        min(max(y, 0), height_px - crop_height),
        crop_width,
        crop_height,
    )
