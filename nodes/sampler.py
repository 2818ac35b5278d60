"""EMO Sampler: a portrait, a voice and a motion -> LATENT of all frames."""

from typing import TYPE_CHECKING, Any

from .. import host

if TYPE_CHECKING:
    from ..models.checkpoints.emo import LoadedModel
    from ..steps.graph_types import EncodedVoice, PortraitReference
    from ..steps.head_motion import HeadMotion

MODELS_OWN = "the model's own"
# A whole number that the browser keeps exact.
_MAX_SEED = 2**53 - 1


class Sampler:
    """Clip after clip from noise to latents, each clip going on from the last frames of the one before."""

    CATEGORY = "EMO"
    DESCRIPTION = "Samples the video clip by clip: as many frames as the voice lasts."
    FUNCTION = "sample"
    RETURN_TYPES = ("LATENT",)
    RETURN_NAMES = ("latent",)
    OUTPUT_TOOLTIPS = ("The latents of all frames, for EMO decode.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "model": ("EMO_MODEL", {"tooltip": "The model that encoded the portrait and the voice."}),
                "reference": ("EMO_REFERENCE", {"tooltip": "The portrait, from the EMO reference net."}),
                "voice": ("EMO_AUDIO", {"tooltip": "The voice, from EMO encode audio."}),
                "steps": (
                    "INT",
                    {
                        "default": 0, "min": 0, "max": 1000,
                        "tooltip": "Denoising steps a clip. 0: as many as come with the model.",
                    },
                ),
                "scheduler": (
                    [MODELS_OWN, "ddim", "dpm++", "unipc", "euler"],
                    {"default": MODELS_OWN, "tooltip": "How noise is taken away; ddim is the paper's way."},
                ),
                "voice_guidance": (
                    "FLOAT",
                    {
                        "default": 0.0, "min": 0.0, "max": 20.0, "step": 0.1,
                        "tooltip": "Guidance scale of the voice; 1 leaves the unconditional half out, which "
                        "takes half the time. 0: the scale that comes with the model.",
                    },
                ),
                "seed": (
                    "INT",
                    {
                        "default": 0, "min": 0, "max": _MAX_SEED, "control_after_generate": True,
                        "tooltip": "Of the noise; the same seed gives the same video.",
                    },
                ),
            },
            "optional": {
                "motion": ("EMO_MOTION", {"tooltip": 'The head\'s speed; without it the model\'s "normal".'}),
            },
        }

    def sample(
        self,
        model: "LoadedModel",
        reference: "PortraitReference",
        voice: "EncodedVoice",
        steps: int,
        scheduler: str,
        voice_guidance: float,
        seed: int,
        motion: "HeadMotion | None" = None,
    ) -> tuple[dict[str, Any]]:
        from ..steps.graph_types import sample_latents, settings_of
        from ..steps.head_motion import motion_of_style

        defaults = model.config.defaults
        named = None if scheduler == MODELS_OWN else scheduler
        settings = settings_of(defaults, steps, named, voice_guidance, seed)
        motion = motion or motion_of_style("normal", defaults)
        host.on_device(model.networks)
        report = host.progress(voice.timeline.clip_count * settings.steps)
        latents = sample_latents(
            model, reference, voice, motion, settings, lambda at: report(at.steps_done)
        )
        return ({"samples": latents},)
