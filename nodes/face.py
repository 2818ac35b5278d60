"""Face Region: IMAGE -> EMO_FACE and MASK, by hand, by mask or by detector."""

from typing import TYPE_CHECKING, Any

from .. import host

if TYPE_CHECKING:
    from torch import Tensor

    from ..steps.graph_types import Face

STOP, MIDDLE = "stop", "take the middle of the picture"
# Share of the picture's height that a face is taken to have where none is found.
_MIDDLE_SHARE = 0.6


def _pixels(what: str) -> tuple[str, dict[str, Any]]:
    return ("INT", {"default": 0, "min": 0, "max": 65536, "tooltip": what})


def _margin(what: str) -> tuple[str, dict[str, Any]]:
    return ("FLOAT", {"default": -1.0, "min": -1.0, "max": 4.0, "step": 0.01, "tooltip": what})


class FaceRegion:
    """Where the face is, and how much room it gets to move in (paper, section 3.2, Face Locator)."""

    CATEGORY = "EMO"
    DESCRIPTION = "Says where the face is, by hand, else by mask, else by detector, and how far it may move."
    FUNCTION = "locate"
    RETURN_TYPES = ("EMO_FACE", "MASK")
    RETURN_NAMES = ("face", "mask")
    OUTPUT_TOOLTIPS = (
        "The face and its room to move, for the EMO reference net.",
        "The face as a mask of the picture's size, white where the face is.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": ("IMAGE", {"tooltip": "One picture of a person."}),
                "x": _pixels("Left edge of the face by hand, in pixels of the picture."),
                "y": _pixels("Top edge of the face by hand, in pixels of the picture."),
                "width": _pixels("Width of the face by hand, in pixels. Width and height 0: not by hand."),
                "height": _pixels("Height of the face by hand, in pixels. Width and height 0: not by hand."),
                "face_index": (
                    "INT",
                    {
                        "default": -1, "min": -1, "max": 99,
                        "tooltip": "Which of several detected faces, 0 the leftmost. -1: the largest.",
                    },
                ),
                "margin_x": _margin(
                    "Room to move on the left and on the right, as a share of the face's width: wider lets "
                    "the head swing. Below 0: what suits the head's speed."
                ),
                "margin_y": _margin(
                    "Room to move above and below, as a share of the face's height: taller lets the head "
                    "nod. Below 0: what suits the head's speed."
                ),
                "if_no_face": (
                    [STOP, MIDDLE],
                    {
                        "default": STOP,
                        "tooltip": "Where the detector sees no face, or is not installed: stop with an "
                        "error, or take the middle of the picture for the face (the log says so).",
                    },
                ),
            },
            "optional": {
                "mask": ("MASK", {"tooltip": "White where the face is, of the picture's size."}),
            },
        }

    def locate(
        self,
        image: "Tensor",
        x: int,
        y: int,
        width: int,
        height: int,
        face_index: int,
        margin_x: float,
        margin_y: float,
        if_no_face: str,
        mask: "Tensor | None" = None,
    ) -> "tuple[Face, Tensor]":
        from ..steps import face_region
        from ..steps.face_detector import WEIGHTS_NAME
        from ..steps.graph_tensors import locate_face, portrait_of_image
        from ..steps.graph_types import Face

        portrait = portrait_of_image(image)
        region = locate_face(
            portrait,
            by_hand=face_region.FaceRegion(x, y, width, height) if width or height else None,
            mask=mask,
            index=None if face_index < 0 else face_index,
            detector_weights=host.find_model_file(WEIGHTS_NAME),
            middle_share=_MIDDLE_SHARE if if_no_face == MIDDLE else None,
        )
        height_px, width_px = portrait.pixels.shape[-2:]
        margins = (None if margin < 0 else margin for margin in (margin_x, margin_y))
        face = Face(region, (width_px, height_px), *margins)
        return face, face_region.face_mask(region, height_px, width_px)[0]
