"""How the head moves, for models that are told so: three key points of the face, or drawings of it.

V-Express (arXiv 2406.02511) reads both eyes and the nose, drawn as a V; EchoMimic's versions with poses read
a drawing of the face's landmarks for every frame.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError
from ..models.config import EmoConfig
from .pixels import to_bytes
from .portrait import CropBox, FittedPortrait
from .region_masks import draw_key_points


@dataclass(frozen=True, eq=False)
class FaceGuide:
    """Key points or drawings, one of the two, in pixels of the portrait's whole picture.

    Attributes:
        key_points: x and y of the eye on the picture's left, the one on its right, and the nose
            [1 or F, 3, 2]: for all frames, or for each.
        drawings: pictures of the portrait's size [1 or F, 3, H, W], 8 bits a channel, likewise.
    """

    key_points: Tensor | None = None
    drawings: Tensor | None = None

    def __post_init__(self) -> None:
        """Raises InputError: both or none are given, or of another shape."""
        if (self.key_points is None) == (self.drawings is None):
            raise InputError(
                got="key points and drawings of the face together",
                allowed="one of the two",
                do="leave one of them away",
            )
        points, drawings = self.key_points, self.drawings
        if points is not None and (points.ndim != 3 or 0 in points.shape or points.shape[1:] != (3, 2)):
            raise InputError(
                got=f"key points of shape {list(points.shape)}",
                allowed="[3, 2] or [frames, 3, 2]: x and y of both eyes and the nose",
                do="leave other points away",
            )
        if drawings is not None and (drawings.ndim != 4 or 0 in drawings.shape or drawings.shape[1] != 3):
            raise InputError(
                got=f"drawings of shape {list(drawings.shape)}",
                allowed="[frames, 3, height, width]",
                do="give pictures of three channels",
            )


def check_face_guide(
    guide: FaceGuide | None, config: EmoConfig, picture_px: tuple[int, int], frame_count: int | None = None
) -> None:
    """Whether a model can be told this, of a portrait of (width, height).

    frame_count: of the video; None: it is not known yet.

    Raises:
        InputError: the model reads something else, needs what is not given, or it does not fit the picture or
            the video.
    """
    reads = config.locator.reads
    if guide is None:
        if reads == "poses":
            raise InputError(
                got=f"no drawn poses for {config.name}, which moves the face as they say",
                allowed="a drawing of the face's landmarks for every frame, of the portrait's size",
                do="give them (--drawings, or `drawings` of EMO Reference Net), or use the model's version "
                "without poses",
            )
        return
    if reads == "face" or (reads == "poses" and guide.drawings is None):
        raise InputError(
            got=f"{'drawings' if guide.key_points is None else 'key points'} of the face for {config.name}",
            allowed="drawings of the face's landmarks" if reads == "poses" else "none for this model",
            do="leave them away, or use a model that is told so (V-Express, or EchoMimic with poses)",
        )
    _check_place(guide, picture_px)
    given = guide.drawings if guide.key_points is None else guide.key_points
    if frame_count is not None:
        check_count(len(given), frame_count)  # type: ignore[arg-type]


def check_count(given: int, frame_count: int) -> None:
    """Raises InputError: neither one for all frames nor enough for each."""
    if 1 < given < frame_count:
        raise InputError(
            got=f"key points or drawings for {given} frames, for a video of {frame_count}",
            allowed="for one, which is held for all of them, or for each",
            do=f"give {frame_count} of them, or use a shorter part of the voice",
        )


def _check_place(guide: FaceGuide, picture_px: tuple[int, int]) -> None:
    width_px, height_px = picture_px
    if guide.drawings is not None and guide.drawings.shape[-2:] != (height_px, width_px):
        got = f"drawings of {guide.drawings.shape[-1]}x{guide.drawings.shape[-2]} pixels"
    elif guide.key_points is not None and not _inside(guide.key_points, width_px, height_px):
        got = "key points outside of the picture"
    else:
        return
    raise InputError(
        got=f"{got} for a portrait of {width_px}x{height_px}",
        allowed="pixels of the portrait itself, which is cropped together with them",
        do="scale them to the portrait, or the portrait to them",
    )


def _inside(points: Tensor, width_px: int, height_px: int) -> bool:
    return bool(((points >= 0) & (points <= torch.tensor([width_px, height_px]))).all())


def fitted_drawings(guide: FaceGuide, fitted: FittedPortrait) -> Tensor:
    """What the face locator reads [1 or F, 3, h, w], 8 bits a channel: cropped as the portrait is."""
    height_px, width_px = fitted.pixels.shape[-2:]
    if guide.key_points is not None:
        corner = torch.tensor([fitted.crop.x, fitted.crop.y])
        scale = torch.tensor([width_px / fitted.crop.width, height_px / fitted.crop.height])
        moved = (guide.key_points - corner) * scale
        return torch.cat([to_bytes(draw_key_points(points, width_px, height_px)) for points in moved])
    drawings: Tensor = guide.drawings  # type: ignore[assignment]
    return torch.cat([_cropped(drawing, fitted.crop, width_px, height_px) for drawing in drawings.split(1)])


def _cropped(drawing: Tensor, crop: CropBox, width_px: int, height_px: int) -> Tensor:
    part = drawing[:, :, crop.y : crop.y + crop.height, crop.x : crop.x + crop.width].float() / 255
    if part.shape[-2:] != (height_px, width_px):
        part = F.interpolate(part, (height_px, width_px), mode="bilinear", antialias=True)
    return to_bytes(part)
