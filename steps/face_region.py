"""Where the face is: boxes, masks, and the box it may move in (section 3.2.3 of the paper, Face Locator)."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageOps

from ..errors import DependencyError, InputError
from .face_detector import detect_boxes

if TYPE_CHECKING:
    from .portrait import Portrait

log = logging.getLogger(__name__)

_BY_HAND = "give the face region by hand: x,y,width,height in pixels of the picture, or a mask"


@dataclass(frozen=True)
class FaceRegion:
    """A box in pixels of a picture, origin at its top left corner.

    Attributes:
        x: left edge.
        y: top edge.
        width: width of the box.
        height: height of the box.
    """

    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        """Raises InputError: an edge is not finite, or the box is empty."""
        finite = all(math.isfinite(value) for value in (self.x, self.y, self.width, self.height))
        if not finite or self.width <= 0 or self.height <= 0:
            raise InputError(
                got=f"face region {self}",
                allowed="finite numbers, with width and height above 0",
                do="write the region as x,y,width,height in pixels of the picture",
            )

    def __str__(self) -> str:
        return f"{self.x:g},{self.y:g},{self.width:g},{self.height:g}"

    @property
    def right(self) -> float:
        """Right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Bottom edge."""
        return self.y + self.height

    def check_inside(self, width_px: int, height_px: int) -> None:
        """Raise InputError unless the whole box lies in a picture of this size."""
        if self.x < 0 or self.y < 0 or self.right > width_px or self.bottom > height_px:
            raise InputError(
                got=f"face region {self} in a picture of {width_px}x{height_px} pixels",
                allowed=f"a box inside the picture: x + width <= {width_px}, y + height <= {height_px}",
                do="draw the region again, in pixels of this picture",
            )

    def clamped(self, width_px: float, height_px: float) -> "FaceRegion":
        """The part of the box that lies in a picture of this size; InputError when there is none."""
        left, top = max(self.x, 0.0), max(self.y, 0.0)
        right, bottom = min(self.right, width_px), min(self.bottom, height_px)
        return FaceRegion(left, top, right - left, bottom - top)

    def scaled(self, factor_x: float, factor_y: float) -> "FaceRegion":
        """The same box in a picture resized by these factors."""
        return FaceRegion(self.x * factor_x, self.y * factor_y, self.width * factor_x, self.height * factor_y)


def parse_region(text: str) -> FaceRegion:
    """Read "x,y,width,height".

    Raises:
        InputError: not four numbers, or an empty box.
    """
    try:
        x, y, width, height = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            got=f"face region {text!r}",
            allowed="four numbers x,y,width,height, such as 120,80,200,220",
            do="write the region in pixels of the picture, with commas between the numbers",
        ) from None
    return FaceRegion(x, y, width, height)


def detect_faces(portrait: "Portrait", weights_path: str | Path | None = None) -> list[FaceRegion]:
    """Find the faces of a portrait with kornia's YuNet, the surest first.

    Args:
        portrait: the picture.
        weights_path: YuNet's weights; None looks in torch's folder of checkpoints. Nothing is downloaded.

    Raises:
        DependencyError: kornia or the file of weights is not there.
        WeightsError: the file is damaged or holds something else.
    """
    height_px, width_px = portrait.pixels.shape[-2:]
    faces = []
    for left, top, right, bottom in detect_boxes(portrait.pixels, weights_path).tolist():
        left, right = max(left, 0.0), min(right, float(width_px))
        top, bottom = max(top, 0.0), min(bottom, float(height_px))
        if right > left and bottom > top:
            faces.append(FaceRegion(left, top, right - left, bottom - top))
    return faces


def choose_face(faces: Sequence[FaceRegion], index: int | None = None) -> FaceRegion:
    """Choose one of several faces, by index from left to right, or the largest.

    Raises:
        InputError: no face at all, or no face of this index.
    """
    if not faces:
        raise InputError(got="no face found", allowed="at least one face", do=_BY_HAND)
    if index is None:
        return max(faces, key=lambda face: face.width * face.height)
    if not 0 <= index < len(faces):
        raise InputError(
            got=f"face index {index}",
            allowed=f"0 to {len(faces) - 1}, counted from left to right",
            do="choose another index, or none for the largest face",
        )
    return sorted(faces, key=lambda face: face.x)[index]


def find_face_region(
    portrait: "Portrait",
    region: FaceRegion | None = None,
    mask: torch.Tensor | None = None,
    index: int | None = None,
    detector: Callable[["Portrait"], Sequence[FaceRegion]] = detect_faces,
) -> FaceRegion:
    """Find the face of a portrait: a given region, else a mask, else the portrait's own, else a detector's.

    Args:
        portrait: the picture.
        region: a region given by hand, in pixels of the picture.
        mask: [H, W] of the picture's size, above 0.5 where the face is.
        index: which of several detected faces, from left to right; None is the largest. An index asks for
            detection even if the portrait carries a region of its own.
        detector: gives the faces of a portrait.

    Raises:
        InputError: the region leaves the picture, the mask does not fit, or there is no face.
    """
    height_px, width_px = portrait.pixels.shape[-2:]
    if region is None and mask is not None:
        region = region_from_mask(mask, width_px, height_px)
    if region is None and index is None:
        region = portrait.face_region
    if region is None:
        region = choose_face(_detect(portrait, detector), index)
    region.check_inside(width_px, height_px)
    return region


def _detect(
    portrait: "Portrait", detector: Callable[["Portrait"], Sequence[FaceRegion]]
) -> Sequence[FaceRegion]:
    try:
        faces, why = detector(portrait), "the detector saw none"
    except DependencyError as missing:
        faces, why = [], f"no detector is at hand: {missing.got}; to have one, {missing.do}"
    if not faces:
        raise InputError(
            got=f"{portrait.source}: no face found and no region given ({why})",
            allowed="a face that the detector sees, or a region or mask given by hand",
            do=_BY_HAND,
        )
    log.info("%d face(s) found in %s", len(faces), portrait.source)
    return faces


def region_from_mask(mask: torch.Tensor, width_px: int, height_px: int) -> FaceRegion:
    """The box around all of a mask that is above 0.5.

    Args:
        mask: [H, W].
        width_px, height_px: size of the picture it belongs to.

    Raises:
        InputError: another size than the picture's, or nothing above 0.5.
    """
    if tuple(mask.shape) != (height_px, width_px):
        raise InputError(
            got=f"a mask of shape {tuple(mask.shape)} (height, width)",
            allowed=f"the picture's own size, ({height_px}, {width_px})",
            do="draw the mask on this very picture",
        )
    face = mask > 0.5
    if not face.any():
        raise InputError(
            got="an empty mask",
            allowed="a mask that is white (above 0.5) where the face is",
            do="paint the face white, or invert the mask",
        )
    rows = face.any(1).nonzero().flatten()
    columns = face.any(0).nonzero().flatten()
    left, top = int(columns[0]), int(rows[0])
    return FaceRegion(left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top)


def read_mask(path: str | Path, width_px: int, height_px: int) -> torch.Tensor:
    """Read a mask picture: white is face; transparent parts count as black.

    Returns:
        [H, W], 0 to 1.

    Raises:
        InputError: not a picture, or another size than width_px x height_px.
    """
    try:
        with Image.open(path) as picture:
            upright = ImageOps.exif_transpose(picture).convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(
            got=f"{path}: {error}",
            allowed="a picture of the portrait's size, white where the face is",
            do="check the path of the mask, and save it as PNG",
        ) from error
    if upright.size != (width_px, height_px):
        raise InputError(
            got=f"{path}: a mask of {upright.width}x{upright.height} pixels",
            allowed=f"the portrait's own size, {width_px}x{height_px}",
            do="draw the mask on this very picture",
        )
    black = Image.new("RGBA", upright.size, "black")
    grey = Image.alpha_composite(black, upright).convert("L")
    return torch.from_numpy(np.asarray(grey, dtype=np.float32) / 255)


def movement_box(
    region: FaceRegion, margin_x: float, margin_y: float, width_px: int, height_px: int
) -> FaceRegion:
    """The box the face may move in: wider lets the head swing, taller lets it nod.

    Args:
        region: the face.
        margin_x: room on the left and on the right, as a share of the face's width.
        margin_y: room above and below, as a share of its height.
        width_px, height_px: size of the picture, beyond which the box does not reach.

    Raises:
        InputError: a margin is negative or not finite.
    """
    for name, margin in (("margin_x", margin_x), ("margin_y", margin_y)):
        if not (math.isfinite(margin) and margin >= 0):
            raise InputError(
                got=f"{name} {margin}", allowed="0 or more", do=f"set {name}, for example to 0.2"
            )
    wide, tall = margin_x * region.width, margin_y * region.height
    box = FaceRegion(region.x - wide, region.y - tall, region.width + 2 * wide, region.height + 2 * tall)
    return box.clamped(width_px, height_px)


def face_mask(region: FaceRegion, height: int, width: int) -> torch.Tensor:
    """Draw a region as the Face Locator's mask M.

    The value of a pixel is the share of it that the box covers, so a box on whole pixels is binary and a box
    between pixels of a coarse mask keeps its size.

    Args:
        region: the box, in pixels of the mask (see `FaceRegion.scaled`).
        height, width: size of the mask.

    Returns:
        [1, 1, H, W], 0 to 1.
    """
    rows = _coverage(region.y, region.bottom, height)
    columns = _coverage(region.x, region.right, width)
    return (rows[:, None] * columns[None, :])[None, None]


def _coverage(start: float, end: float, count: int) -> torch.Tensor:
    pixels = torch.arange(count, dtype=torch.float64)
    covered = (pixels + 1).clamp(max=end) - pixels.clamp(min=start)
    return covered.clamp(min=0).float()  # [count]
