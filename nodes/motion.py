"""Head Motion: a style, a speed or a curve of speeds -> EMO_MOTION."""

from typing import TYPE_CHECKING, Any

from .. import host

if TYPE_CHECKING:
    from ..models.checkpoints.emo import LoadedModel

BY_SPEED, BY_CURVE = "by speed", "by curve"
_PEAKS = 600


class Motion:
    """How lively the head moves (paper, section 3.2, Speed Layers)."""

    CATEGORY = "EMO"
    DESCRIPTION = (
        "Sets how lively the head moves: calm, normal or active as the model has them, a constant speed, or "
        "a curve of speeds, drawn over the voice."
    )
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
                    ["calm", "normal", "active", BY_SPEED, BY_CURVE],
                    {"default": "normal", "tooltip": "A style, the speed below, or the curve below it."},
                ),
                "speed": (
                    "FLOAT",
                    {
                        "default": 0.5, "min": 0.0, "max": 4.0, "step": 0.05,
                        "tooltip": "Head speed in degrees per frame, constant over the video, for the style "
                        f'"{BY_SPEED}". Speech wants 0.1 to 1.0, singing 1.0 to 1.3.',
                    },
                ),
            },
            "optional": {
                "audio": (
                    "AUDIO",
                    {
                        "tooltip": "The sound to draw the curve over: the audio that EMO encode audio gives. "
                        "It is shown only."
                    },
                ),
                "curve": (
                    "STRING",
                    {
                        "default": "",
                        "tooltip": "Head speed over time, as drawn in the editor, for the style "
                        f'"{BY_CURVE}": a JSON list of points [time in seconds, degrees per frame], straight '
                        "between them.",
                    },
                ),
            },
        }

    def choose(
        self,
        model: "LoadedModel",
        style: str,
        speed: float,
        audio: dict[str, Any] | None = None,
        curve: str = "",
    ) -> Any:
        from ..steps.head_motion import HeadMotion, motion_of_style, parse_curve

        if style == BY_SPEED:
            motion = HeadMotion(speed)
        elif style == BY_CURVE:
            motion = HeadMotion(parse_curve(curve))
        else:
            motion = motion_of_style(style, model.config.defaults)
        return host.show({} if audio is None else _waveform(audio), (motion,))


def _waveform(audio: dict[str, Any]) -> dict[str, Any]:
    """What the editor on the page draws the curve over."""
    from ..steps.graph_sound import voice_of_audio
    from ..steps.waveform import waveform_peaks

    voice = voice_of_audio(audio)
    shown = {"peaks": waveform_peaks(voice, _PEAKS), "duration_s": voice.duration_s}
    return {"emo_waveform": [shown]}
