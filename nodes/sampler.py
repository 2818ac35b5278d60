"""EMO Sampler: a portrait, a voice and a motion -> LATENT of all frames."""

from typing import TYPE_CHECKING, Any

from .. import host

if TYPE_CHECKING:
    from ..steps.graph_model import GraphModel
    from ..steps.graph_types import EncodedVoice, PortraitReference
    from ..steps.head_motion import HeadMotion
    from ..steps.sampling_settings import SamplingSettings

MODELS_OWN = "the model's own"
# A whole number that the browser keeps exact.
_MAX_SEED = 2**53 - 1

_SOURCES: dict[str, Any] = {
    "model": ("EMO_MODEL", {"tooltip": "The model that encoded the portrait and the voice."}),
    "reference": ("EMO_REFERENCE", {"tooltip": "The portrait, from the EMO reference net."}),
    "voice": ("EMO_AUDIO", {"tooltip": "The voice, from EMO encode audio."}),
}
_STEPS = (
    "INT",
    {
        "default": 0, "min": 0, "max": 1000,
        "tooltip": "Denoising steps a clip. 0: as many as come with the model.",
    },
)
_SEED = (
    "INT",
    {
        "default": 0, "min": 0, "max": _MAX_SEED, "control_after_generate": True,
        "tooltip": "Of the noise; the same seed gives the same video.",
    },
)
_MOTION = ("EMO_MOTION", {"tooltip": 'The head\'s speed; without it the model\'s "normal".'})
_LATENT_TOOLTIP = "The latents of all frames, for EMO combine video or the host's VAE decode."


def _guidance(of: str) -> tuple[str, dict[str, Any]]:
    return (
        "FLOAT",
        {
            "default": 0.0, "min": 0.0, "max": 20.0, "step": 0.1,
            "tooltip": f"Guidance scale of the {of}; 1 leaves the part without {of} out, which saves time. "
            "0: the scale that comes with the model.",
        },
    )


def _sample(
    model: "GraphModel",
    reference: "PortraitReference",
    voice: "EncodedVoice",
    settings: "SamplingSettings",
    motion: "HeadMotion | None",
    node_id: str | None,
    earlier: dict[str, Any] | None = None,
) -> tuple[dict[str, Any]]:
    from ..steps.graph_progress import watch
    from ..steps.graph_runs import sample_latent
    from ..steps.published_sampling import part_count

    report = host.progress(part_count(model.config, voice.timeline) * settings.steps, node_id)
    samples = None if earlier is None else earlier["samples"]
    on_progress = watch(report, model)
    runs = host.runs_folder()
    return (sample_latent(runs, model, reference, voice, motion, settings, on_progress, samples),)


class Sampler:
    """Clip after clip from noise to latents, each clip going on from the last frames of the one before."""

    CATEGORY = "EMO"
    DESCRIPTION = (
        "Samples the video clip by clip: as many frames as the voice lasts. A run that was stopped goes on "
        "when the same graph is queued again."
    )
    FUNCTION = "sample"
    RETURN_TYPES = ("LATENT",)
    RETURN_NAMES = ("latent",)
    OUTPUT_TOOLTIPS = (_LATENT_TOOLTIP,)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {**_SOURCES, "steps": _STEPS, "voice_guidance": _guidance("voice"), "seed": _SEED},
            "optional": {"motion": _MOTION},
            "hidden": {"unique_id": "UNIQUE_ID"},
        }

    def sample(
        self,
        model: "GraphModel",
        reference: "PortraitReference",
        voice: "EncodedVoice",
        steps: int,
        voice_guidance: float,
        seed: int,
        motion: "HeadMotion | None" = None,
        unique_id: str | None = None,
    ) -> tuple[dict[str, Any]]:
        from ..steps.graph_types import settings_of

        defaults = model.config.defaults
        settings = settings_of(defaults, seed, steps=steps, voice_guidance=voice_guidance)
        return _sample(model, reference, voice, settings, motion, unique_id)


class SamplerAdvanced:
    """The sampler with everything that can be chosen."""

    CATEGORY = "EMO/advanced"
    DESCRIPTION = "The EMO sampler with its scheduler, guidances, noise, clip length and earlier frames."
    FUNCTION = "sample"
    RETURN_TYPES = ("LATENT",)
    RETURN_NAMES = ("latent",)
    OUTPUT_TOOLTIPS = (_LATENT_TOOLTIP,)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                **_SOURCES,
                "steps": _STEPS,
                "scheduler": (
                    [MODELS_OWN, "ddim", "dpm++", "unipc", "euler"],
                    {"default": MODELS_OWN, "tooltip": "How noise is taken away; ddim is the paper's way."},
                ),
                "voice_guidance": _guidance("voice"),
                "portrait_guidance": _guidance("portrait"),
                "noise_scale": (
                    "FLOAT",
                    {
                        "default": 0.0, "min": 0.0, "max": 1.0, "step": 0.05,
                        "tooltip": "Deviation of the noise a clip starts from: less is steadier, more is "
                        "livelier. 0: what comes with the model.",
                    },
                ),
                "clip_length": (
                    "INT",
                    {
                        "default": 0, "min": 0, "max": 512,
                        "tooltip": "Frames that are generated together; more take more memory. 0: as many as "
                        "the model was trained on.",
                    },
                ),
                "seed": _SEED,
            },
            "optional": {
                "motion": _MOTION,
                "earlier": (
                    "LATENT",
                    {"tooltip": "Latents of frames to go on from: another EMO sampler's, same model."},
                ),
                "guided_share": (
                    "FLOAT",
                    {
                        "default": 0.0, "min": 0.0, "max": 1.0, "step": 0.05,
                        "tooltip": "Share of the steps, from the first, that are guided: they decide what "
                        "mouth and head do, and the others take half the time. 0: what comes with the model.",
                    },
                ),
                "pose_noise": (
                    "FLOAT",
                    {
                        "default": 0.0, "min": 0.0, "max": 2.0, "step": 0.05,
                        "tooltip": "Deviation of the noise's slow part in the first steps, which decides "
                        "the pose: more moves the head more, and is a little less like the portrait. 0: what "
                        "comes with the model.",
                    },
                ),
            },
            "hidden": {"unique_id": "UNIQUE_ID"},
        }

    def sample(
        self,
        model: "GraphModel",
        reference: "PortraitReference",
        voice: "EncodedVoice",
        steps: int,
        scheduler: str,
        voice_guidance: float,
        portrait_guidance: float,
        noise_scale: float,
        clip_length: int,
        seed: int,
        motion: "HeadMotion | None" = None,
        earlier: dict[str, Any] | None = None,
        guided_share: float = 0.0,
        pose_noise: float = 0.0,
        unique_id: str | None = None,
    ) -> tuple[dict[str, Any]]:
        from dataclasses import replace

        from ..steps.graph_types import settings_of

        defaults = model.config.defaults
        settings = settings_of(
            defaults,
            seed,
            steps=steps,
            scheduler=defaults.scheduler if scheduler == MODELS_OWN else scheduler,
            voice_guidance=voice_guidance,
            portrait_guidance=portrait_guidance,
            noise_scale=noise_scale,
            guided_share=guided_share,
            pose_noise_scale=pose_noise,
        )
        if clip_length:
            voice = replace(voice, timeline=voice.timeline.with_clips_of(clip_length))
        return _sample(model, reference, voice, settings, motion, unique_id, earlier)
