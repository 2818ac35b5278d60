"""The face region as the editor in the browser keeps it, read anew and checked."""

import json
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from .face_region import FaceRegion

_NUMBERS = ("x", "y", "width", "height")


@dataclass(frozen=True)
class DrawnRegion:
    """A region that was drawn on a picture.

    Attributes:
        region: in pixels of that picture.
        picture_px: (width, height) of that picture; None if it is not known.
    """

    region: FaceRegion
    picture_px: tuple[int, int] | None = None

    def check_picture(self, width_px: int, height_px: int) -> None:
        """Raise InputError unless it was drawn on a picture of this size."""
        if self.picture_px not in (None, (width_px, height_px)):
            raise InputError(
                got=f"a face region drawn on a picture of {self.picture_px[0]}x{self.picture_px[1]} pixels "
                f"for one of {width_px}x{height_px}",
                allowed="a region drawn on the picture that is connected",
                do="draw the region again on this picture, or clear it",
            )


def parse_drawn_region(text: str) -> DrawnRegion:
    """Read {"x": 120, "y": 80, "width": 200, "height": 220, "picture": [512, 512]}; picture may be left out.

    Raises:
        InputError: other JSON than this, or an empty box.
    """
    try:
        state = json.loads(text)
        if not isinstance(state, dict) or not set(_NUMBERS) <= set(state) <= {*_NUMBERS, "picture"}:
            raise ValueError(text)
        numbers = [float(_number(state[name])) for name in _NUMBERS]
        picture_px = _size(state["picture"]) if "picture" in state else None
    except (ValueError, TypeError):
        raise InputError(
            got=f"a drawn face region {text[:80]!r}",
            allowed='JSON like {"x": 120, "y": 80, "width": 200, "height": 220, "picture": [512, 512]}',
            do="draw the region again, or leave it empty",
        ) from None
    return DrawnRegion(FaceRegion(*numbers), picture_px)


def region_by_hand(
    drawn: str, numbers: tuple[int, int, int, int], width_px: int, height_px: int
) -> FaceRegion | None:
    """The region given by hand: drawn in the editor, or as numbers; None if there is neither.

    Args:
        drawn: the editor's state, or nothing.
        numbers: x, y, width and height in pixels; width and height 0 for none.
        width_px, height_px: size of the picture.

    Raises:
        InputError: unreadable, drawn on a picture of another size, or two regions that differ.
    """
    typed = FaceRegion(*numbers) if numbers[2] or numbers[3] else None
    if not drawn.strip():
        return typed
    read = parse_drawn_region(drawn)
    read.check_picture(width_px, height_px)
    if typed is not None and not _same_pixels(read.region, typed):
        raise InputError(
            got=f"a face region drawn at {read.region} and another in numbers, {typed}",
            allowed="one region by hand",
            do="clear the drawn region, or set width and height to 0",
        )
    return read.region


def _same_pixels(one: FaceRegion, other: FaceRegion) -> bool:
    return all(round(getattr(one, name)) == round(getattr(other, name)) for name in _NUMBERS)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return value


def _size(value: Any) -> tuple[int, int]:
    width_px, height_px = (int(_number(side)) for side in value)
    return width_px, height_px
