"""Head Motion: a style or a speed -> EMO_MOTION."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..models.checkpoints.emo import LoadedModel
    from ..steps.head_motion import HeadMotion

BY_SPEED = "by speed"


class Motion:
    """How lively the head moves (paper, section 3.2, Speed Layers)."""

    CATEGORY = "EMO"
    DESCRIPTION = "Sets how lively the head moves: calm, normal or active as the model has them, or a speed."
    FUNCTION = "choose"
    RETURN_TYPES = ("EMO_MOTION",)
    RETURN_NAMES = ("motion",)
    OUTPUT_TOOLTIPS = ("The head's speed, for the EMO sampler.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "model": ("EMO_MODEL", {"tooltip": "The model whose speeds the styles stand for."}),
                "style": (
                    ["calm", "normal", "active", BY_SPEED],
                    {"default": "normal", "tooltip": "A style, or the speed below."},
                ),
                "speed": (
                    "FLOAT",
                    {
                        "default": 0.5, "min": 0.0, "max": 4.0, "step": 0.05,
                        "tooltip": "Head speed in degrees per frame, constant over the video, for the style "
                        f'"{BY_SPEED}". Speech wants 0.1 to 1.0, singing 1.0 to 1.3.',
                    },
                ),
            }
        }

    def choose(self, model: "LoadedModel", style: str, speed: float) -> "tuple[HeadMotion]":
        from ..steps.head_motion import HeadMotion, motion_of_style

        return (HeadMotion(speed) if style == BY_SPEED else motion_of_style(style, model.config.defaults),)
