"""Encode Audio: AUDIO -> EMO_AUDIO, the sound that was encoded, and how many frames it lasts."""

from typing import TYPE_CHECKING, Any

from .. import host

if TYPE_CHECKING:
    from ..steps.graph_model import GraphModel
    from ..steps.graph_types import EncodedVoice


class EncodeAudio:
    """What the model hears of a voice, once for as many videos as are made of it."""

    CATEGORY = "EMO"
    DESCRIPTION = "Encodes a voice for the sampler. The video gets as many frames as the voice lasts."
    FUNCTION = "encode"
    RETURN_TYPES = ("EMO_AUDIO", "AUDIO", "INT", "FLOAT")
    RETURN_NAMES = ("voice", "audio", "frame_count", "fps")
    OUTPUT_TOOLTIPS = (
        "The encoded voice, for the EMO sampler.",
        "The part of the audio that was encoded, all channels kept: the sound of the video.",
        "Frames of the video: the fewest that last as long as the audio.",
        "Frames per second of the video.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "model": ("EMO_MODEL", {"tooltip": "The model whose voice encoder listens."}),
                "audio": ("AUDIO", {"tooltip": "One voice of any sample rate; its channels are averaged."}),
                "fps": (
                    "FLOAT",
                    {
                        "default": 0.0, "min": 0.0, "max": 240.0, "step": 0.001,
                        "tooltip": "Frames per second of the video. 0: the rate the model was trained on.",
                    },
                ),
                "start": (
                    "FLOAT",
                    {
                        "default": 0.0, "min": 0.0, "max": 86400.0, "step": 0.01,
                        "tooltip": "Where to start in the audio, in seconds.",
                    },
                ),
                "duration": (
                    "FLOAT",
                    {
                        "default": 0.0, "min": 0.0, "max": 86400.0, "step": 0.01,
                        "tooltip": "How much to use at most, in seconds. 0: to the end.",
                    },
                ),
                "normalize_volume": (
                    "BOOLEAN",
                    {
                        "default": False,
                        "tooltip": "Bring speech to a common loudness (-20 dBFS, pauses left out): what is "
                        "encoded and the audio that comes out.",
                    },
                ),
            },
            "optional": {
                "audio_encoder": (
                    "AUDIO_ENCODER",
                    {
                        "tooltip": "A wav2vec 2.0, for a model that has no voice encoder of its own "
                        "(wav2vec2-base-960h for Hallo and V-Express). EchoMimic's whisper-tiny is a file "
                        "beside the model: ComfyUI's encoders do not include it."
                    },
                ),
            },
        }

    def encode(
        self,
        model: "GraphModel",
        audio: dict[str, Any],
        fps: float,
        start: float,
        duration: float,
        normalize_volume: bool,
        audio_encoder: Any = None,
    ) -> "tuple[EncodedVoice, dict[str, Any], int, float]":
        from ..steps.graph_sound import audio_at_common_loudness, cut_audio
        from ..steps.graph_voice import encode_audio

        part = cut_audio(audio, start, duration)
        if normalize_volume:
            part = audio_at_common_loudness(part)
        voice = encode_audio(model, part, fps, audio_encoder, host.runs_folder())
        return voice, part, voice.timeline.frame_count, float(voice.timeline.fps)
