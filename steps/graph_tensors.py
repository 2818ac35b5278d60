"""The host's tensors turned into this project's types and back.

The host's forms: IMAGE [B, H, W, 3] in 0..1, MASK [B, H, W], LATENT {"samples": [F, C, h, w]}; for AUDIO see
graph_sound.py.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import DependencyError, InputError
from ..models.checkpoints.emo import LoadedModel
from .face_region import FaceRegion, detect_faces, find_face_region
from .portrait import Portrait

log = logging.getLogger(__name__)

# Bicubic upscalers leave a picture a little beyond 0..1 at its edges; more than this is another scale.
_OVERSHOOT = 0.1
# Width over height of a face with its hair.
_FACE_ASPECT = 0.8


# --- pictures ---


def portrait_of_image(image: Tensor) -> Portrait:
    """One picture [1, H, W, 3] as a portrait; overshoot of an upscaler is cut.

    Raises:
        InputError: several pictures, other channels than RGB, too small, or not of the scale 0..1.
    """
    _check_image(image)
    if len(image) != 1:
        raise InputError(
            got=f"a batch of {len(image)} pictures",
            allowed="one portrait",
            do="take one picture out of the batch (ImageFromBatch), or run each in a graph of its own",
        )
    pixels = image.permute(0, 3, 1, 2).float().cpu()
    if bool((pixels - 0.5).abs().max() <= 0.5 + _OVERSHOOT):
        pixels = pixels.clamp(0, 1)
    return Portrait(pixels.contiguous(), "the picture")


def frames_of_images(images: Tensor) -> Tensor:
    """Pictures [F, H, W, 3] as frames [F, 3, H, W].

    Raises:
        InputError: no pictures, or other channels than RGB.
    """
    _check_image(images)
    return images.permute(0, 3, 1, 2)


def images_of_frames(frames: Tensor) -> Tensor:
    """Frames [F, 3, H, W] as the host's IMAGE [F, H, W, 3] on the CPU."""
    return frames.permute(0, 2, 3, 1).float().cpu().contiguous()


def _check_image(image: Tensor) -> None:
    if image.ndim != 4 or image.shape[-1] != 3 or 0 in image.shape:
        raise InputError(
            got=f"an IMAGE of shape {list(image.shape)}",
            allowed="[pictures, height, width, 3], at least one picture, RGB without alpha",
            do="connect a picture of three channels",
        )


@dataclass(frozen=True)
class LocatedFace:
    """A face in a picture, and how it was found.

    Attributes:
        region: the face in pixels of the picture.
        how: a sentence for the user, which tells of a fallback.
        assumed: whether no face was found and the middle of the picture is taken instead.
    """

    region: FaceRegion
    how: str
    assumed: bool = False


def locate_face(
    portrait: Portrait,
    by_hand: FaceRegion | None = None,
    mask: Tensor | None = None,
    index: int | None = None,
    detector_weights: Path | None = None,
    middle_share: float | None = None,
) -> LocatedFace:
    """The face of a picture: by hand, else by mask, else by the detector, else the middle if that is wanted.

    Args:
        portrait: the picture.
        by_hand: the region in its pixels.
        mask: the host's MASK [1, H, W] of the picture's size, above 0.5 where the face is.
        index: which of several detected faces, from left to right; None is the largest.
        detector_weights: YuNet's; None looks in torch's folder of checkpoints.
        middle_share: where no face is found, assume one in the middle, of this share of the picture's height,
            and say so in the log; None: no face is an error.

    Raises:
        InputError: see `find_face_region`, or a batch of masks.
    """
    if by_hand is not None:
        return LocatedFace(find_face_region(portrait, by_hand), f"face by hand: {by_hand}")
    if mask is not None:
        region = find_face_region(portrait, mask=_one_mask(mask))
        return LocatedFace(region, f"face by mask: {region}")
    fallbacks: list[str] = []
    detector: Callable[[Portrait], list[FaceRegion]] = partial(detect_faces, weights_path=detector_weights)
    if middle_share is not None:
        detector = partial(
            _faces_or_middle, detector=detector, share=middle_share, on_fallback=fallbacks.append
        )
    region = find_face_region(portrait, index=index, detector=detector)
    if fallbacks:
        log.warning(fallbacks[0])
        return LocatedFace(region, fallbacks[0], assumed=True)
    return LocatedFace(region, f"face by detector: {region}")


def _faces_or_middle(
    portrait: Portrait,
    detector: Callable[[Portrait], list[FaceRegion]],
    share: float,
    on_fallback: Callable[[str], None],
) -> list[FaceRegion]:
    try:
        faces, why = detector(portrait), "the detector saw none"
    except DependencyError as missing:
        faces, why = [], missing.got
    if faces:
        return faces
    height_px, width_px = portrait.pixels.shape[-2:]
    height = round(min(share * height_px, width_px / _FACE_ASPECT))
    width = round(height * _FACE_ASPECT)
    middle = FaceRegion((width_px - width) // 2, (height_px - height) // 2, width, height)
    on_fallback(f"no face found ({why}): the middle of the picture is taken for the face, {middle}")
    return [middle]


def _one_mask(mask: Tensor) -> Tensor:
    if mask.ndim == 3 and len(mask) == 1:
        return mask[0].cpu()
    raise InputError(
        got=f"a MASK of shape {list(mask.shape)}",
        allowed="one mask, [1, height, width] of the picture",
        do="take one mask out of the batch",
    )


# --- latents ---


def check_latents(model: LoadedModel, latent: Mapping[str, Any]) -> None:
    """Raise InputError unless the host's LATENT can be decoded by this model."""
    latents, channels = latent["samples"], model.config.spatial.latent_channels
    if latents.ndim != 4 or latents.shape[1] != channels or 0 in latents.shape:
        raise InputError(
            got=f"a LATENT of shape {list(latents.shape)}",
            allowed=f"[frames, {channels}, height, width], from an EMO sampler with this model",
            do="connect the EMO sampler, or decode with the VAE that belongs to these latents",
        )
