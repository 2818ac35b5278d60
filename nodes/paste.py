"""Paste Back: the animated part -> IMAGE of the whole picture."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from ..steps.graph_types import PortraitReference


class PasteBack:
    """Lays the animated part of a picture over the picture it was cut out of."""

    CATEGORY = "EMO"
    DESCRIPTION = (
        "Puts the animated part back into the whole picture, its edge blended. All frames of the whole "
        "picture are in memory then: 12 bytes a pixel and frame."
    )
    FUNCTION = "paste"
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("images",)
    OUTPUT_TOOLTIPS = ("The frames of the video at the size of the whole picture.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "images": ("IMAGE", {"tooltip": "The animated part, from VAE decode; upscaled if wanted."}),
                "picture": ("IMAGE", {"tooltip": "The whole picture, as the reference net was given it."}),
                "reference": ("EMO_REFERENCE", {"tooltip": "Knows which part of the picture was animated."}),
                "feather": (
                    "FLOAT",
                    {
                        "default": 0.1, "min": 0.0, "max": 0.5, "step": 0.01,
                        "tooltip": "Width of the blend at the part's edge, as a share of its shorter side.",
                    },
                ),
            }
        }

    def paste(
        self, images: "Tensor", picture: "Tensor", reference: "PortraitReference", feather: float
    ) -> "tuple[Tensor]":
        from ..steps.graph_paste import paste_back

        return (paste_back(images, picture, reference.fitted.crop, feather),)
