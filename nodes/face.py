"""Face Region: IMAGE -> EMO_FACE, MASK, crop and preview, by hand, by mask or by detector."""

from typing import TYPE_CHECKING, Any

from .. import host

if TYPE_CHECKING:
    from torch import Tensor

    from ..steps.graph_tensors import LocatedFace
    from ..steps.graph_types import Face
    from ..steps.portrait import Portrait

STOP, MIDDLE = "stop", "take the middle of the picture"
# Share of the picture's height that a face is taken to have where none is found.
_MIDDLE_SHARE = 0.6
_COPY_PREFIX, _COPY_SIDE_PX = "EMO_face", 1024


def _pixels(what: str) -> tuple[str, dict[str, Any]]:
    return ("INT", {"default": 0, "min": 0, "max": 65536, "tooltip": what})


def _margin(what: str) -> tuple[str, dict[str, Any]]:
    return ("FLOAT", {"default": -1.0, "min": -1.0, "max": 4.0, "step": 0.01, "tooltip": what})


class FaceRegion:
    """Where the face is, and how much room it gets to move in (paper, section 3.2, Face Locator)."""

    CATEGORY = "EMO"
    DESCRIPTION = (
        "Says where the face is, by hand (draw it on the picture), else by mask, else by detector, and how "
        "far it may move."
    )
    FUNCTION = "locate"
    # So that it can be run alone, and tells the page what it found even when nothing had to be run again.
    OUTPUT_NODE = True
    RETURN_TYPES = ("EMO_FACE", "MASK", "IMAGE", "IMAGE")
    RETURN_NAMES = ("face", "mask", "crop", "preview")
    OUTPUT_TOOLTIPS = (
        "The face and its room to move, for the EMO reference net.",
        "The face as a mask of the picture's size, white where the face is.",
        "The part of the picture in which the head may move, in the picture's own pixels.",
        "The picture with the face (green) and its room to move (amber). Room that depends on the head's "
        "speed is drawn for 0.5 degrees per frame.",
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
                "region": (
                    "STRING",
                    {
                        "default": "",
                        "tooltip": "The face as drawn in the editor, by hand: JSON with x, y, width and "
                        "height in pixels, and the picture's width and height.",
                    },
                ),
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
        region: str = "",
    ) -> Any:
        from ..steps.drawn_region import region_by_hand
        from ..steps.face_detector import WEIGHTS_NAME
        from ..steps.graph_tensors import locate_face, portrait_of_image
        from ..steps.graph_types import Face

        portrait = portrait_of_image(image)
        height_px, width_px = portrait.pixels.shape[-2:]
        located = locate_face(
            portrait,
            by_hand=region_by_hand(region, (x, y, width, height), width_px, height_px),
            mask=mask,
            index=None if face_index < 0 else face_index,
            detector_weights=host.find_model_file(WEIGHTS_NAME),
            middle_share=_MIDDLE_SHARE if if_no_face == MIDDLE else None,
        )
        margins = (None if margin < 0 else margin for margin in (margin_x, margin_y))
        return _results(portrait, located, Face(located.region, (width_px, height_px), *margins))


def _results(portrait: "Portrait", located: "LocatedFace", face: "Face") -> Any:
    from ..steps.face_region import face_mask
    from ..steps.face_view import cut_out, draw_boxes
    from ..steps.graph_tensors import images_of_frames
    from ..steps.head_motion import USUAL_SPEED, HeadMotion

    width_px, height_px = face.picture_px
    room = face.movement_box(HeadMotion(USUAL_SPEED))
    mask = face_mask(face.region, height_px, width_px)[0]
    crop, preview = cut_out(portrait, room), draw_boxes(portrait, face.region, room)
    result = (face, mask, images_of_frames(crop), images_of_frames(preview))
    return host.show(_shown(portrait, located), result)


def _shown(portrait: "Portrait", located: "LocatedFace") -> dict[str, Any]:
    """What the editor on the page shows after a run; nothing is written without a host."""
    if not host.hosted():
        return {}
    from ..steps.face_view import save_small_copy

    path = host.output_path(_COPY_PREFIX, temporary=True, suffix=".jpg")
    save_small_copy(portrait, path, _COPY_SIDE_PX)
    height_px, width_px = portrait.pixels.shape[-2:]
    region = located.region
    found = {
        "region": [region.x, region.y, region.width, region.height],
        "picture": [width_px, height_px],
        "assumed": located.assumed,
    }
    return {"text": [located.how], "emo_face": [found], "emo_picture": [host.file_entry(path, True)]}
