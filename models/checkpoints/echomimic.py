"""EchoMimic v1 (arXiv 2407.08136): its base model, the 6-step one, and both with drawn poses."""

from dataclasses import replace

from ..config import (
    SD15_LATENT_SCALE,
    AudioConfig,
    DiffusionConfig,
    EmoConfig,
    LocatorConfig,
    LoopConfig,
    ReferenceConfig,
    SamplingDefaults,
    SpeedConfig,
    TemporalConfig,
)
from .family import PICTURE_AUTOENCODER, TEMPORAL_NAMES, WHISPER_TINY, Family, PublishedFile

CONFIG = EmoConfig(
    name="echomimic",
    reference=ReferenceConfig(reading="joined", feature="norm1", half_precision=True),
    audio=AudioConfig(
        feature_width=384,
        tokens=50,
        token_width=384,
        projection="none",
        scale=3.0,
        features="spectrogram",
    ),
    temporal=TemporalConfig(frames_per_clip=12, motion_frames=0, stored_positions=32),
    locator=LocatorConfig(channels=(16, 32, 96, 256), channels_in=1),
    speed=SpeedConfig(buckets=0),
    diffusion=DiffusionConfig(beta_schedule="linear"),
    loop=LoopConfig("windows", overlap_frames=3, closed=True, rotation_frames=2, noise_limit=1.5),
    defaults=SamplingDefaults(fps=24.0, steps=30, voice_guidance=2.5, face_share=0.5),
    latent_scale=SD15_LATENT_SCALE,
)
SIX_STEPS = replace(
    CONFIG, name="echomimic-acc", defaults=replace(CONFIG.defaults, steps=6, voice_guidance=1.0)
)


def _with_poses(config: EmoConfig) -> EmoConfig:
    return replace(
        config,
        name=config.name.replace("echomimic", "echomimic-pose"),
        locator=replace(config.locator, channels_in=3, reads="poses"),
        loop=replace(config.loop, rotation_frames=3, noise_limit=None),
    )


def _family(
    config: EmoConfig, title: str, good_at: str, reference: str = "", version: str = "", locator: str = ""
) -> Family:
    """A version of the model; the last three are what its files' names end in."""
    return Family(
        name=config.name,
        title=title,
        licence="Apache-2.0 (its authors ask for academic research)",
        source="https://huggingface.co/BadToBest/EchoMimic",
        good_at=good_at,
        config=config,
        layouts=(
            (
                PublishedFile(f"reference_unet{reference}", "reference_unet."),
                PublishedFile(f"motion_module{version}", "denoising_unet.", by_name=bool(version)),
                PublishedFile(f"denoising_unet{version}", "denoising_unet.", by_name=bool(version)),
                PublishedFile(f"face_locator{locator}", "face_locator."),
            ),
        ),
        names=(
            (r"^reference_unet\.", "reference_net."),
            (r"^denoising_unet\.", "backbone."),
            (r"^face_locator\.", "backbone.face_locator."),
            (r"^(backbone\..*\.attentions\..*)\.norm2\.", r"\1.audio.norm."),
            (r"^(backbone\..*\.attentions\..*)\.attn2\.", r"\1.audio.attn."),
            *TEMPORAL_NAMES,
        ),
        external=(PICTURE_AUTOENCODER, WHISPER_TINY),
    )


ECHOMIMIC = _family(CONFIG, "EchoMimic", "photographs, lively lips")
ECHOMIMIC_ACC = _family(SIX_STEPS, "EchoMimic, 6 steps", "photographs, ten times sooner", version="_acc")
ECHOMIMIC_POSE = _family(
    _with_poses(CONFIG), "EchoMimic with poses", "head movements drawn for it", "_pose", "_pose", "_pose"
)
ECHOMIMIC_POSE_ACC = _family(
    _with_poses(SIX_STEPS),
    "EchoMimic with poses, 6 steps",
    "the same, ten times sooner",
    "_pose",
    "_pose_acc",
    "_pose",
)
FAMILIES = (ECHOMIMIC, ECHOMIMIC_ACC, ECHOMIMIC_POSE, ECHOMIMIC_POSE_ACC)
