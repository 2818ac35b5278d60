"""How the evaluation asks for videos, whatever makes them, and how one condition is left out of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal, Protocol, get_args

from torch import Tensor

from ..models.build import EmoNetworks
from ..models.conditions import ClipConditions

Part = Literal["portrait", "voice", "motion_frames", "earlier_frames", "speed", "face_locator"]
PARTS: tuple[Part, ...] = get_args(Part)
WITHOUT_MOTION_FRAMES = ("motion_frames", "earlier_frames")
"""Without the motion frames, or without anything of the clip before: no seam fade either."""
Region = tuple[float, float, float, float]
"""(x0, y0, x1, y1) in 0..1 of the picture, y down."""


class Generate(Protocol):
    """Makes the video of one voice; the caller wires it to the model that is evaluated."""

    def __call__(
        self,
        *,
        portrait_pixels: Tensor,
        samples: Tensor,
        sample_rate_hz: int,
        region: Region,
        speed: float,
        seed: int,
        without: Part | None = None,
    ) -> Tensor:
        """Portrait [1, 3, S, S] in 0..1 and voice float32 [N] -> frames [T, 3, S, S] in 0..1 at 25 fps.

        region: where the face may move; speed: head speed in degrees per frame; without: what the Backbone
        is not told.
        """
        ...


@contextmanager
def left_out(networks: EmoNetworks, part: Part | None) -> Iterator[None]:
    """While it lasts, the Backbone's conditions are prepared without one of them.

    Without "motion_frames" or "earlier_frames" every clip is a first one, whose motion features are zero
    maps; that no seam fades in the latter case is up to the sampler's settings.
    """
    if part is None:
        yield
        return
    backbone = networks.backbone
    whole = backbone.prepare

    def prepare(portrait: Any, motion: Any, *others: Any, **named: Any) -> ClipConditions:
        told = whole(portrait, None if part in WITHOUT_MOTION_FRAMES else motion, *others, **named)
        return _without(told, part)

    backbone.prepare = prepare
    try:
        yield
    finally:
        del backbone.prepare


def _without(conditions: ClipConditions, part: Part) -> ClipConditions:
    if part == "portrait":
        return conditions.without_portrait()
    if part == "voice":
        return conditions.without_voice()
    if part == "face_locator":
        return replace(conditions, face=None)
    if part == "speed":
        return replace(conditions, sites=tuple(replace(site, speed=None) for site in conditions.sites))
    return conditions
