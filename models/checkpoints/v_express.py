"""V-Express (arXiv 2406.02511)."""

from ..config import (
    SD15_LATENT_SCALE,
    AudioConfig,
    ContextConfig,
    DiffusionConfig,
    EmoConfig,
    LocatorConfig,
    LoopConfig,
    ReferenceConfig,
    ResamplerConfig,
    SamplingDefaults,
    SpeedConfig,
    TemporalConfig,
)
from .family import PICTURE_AUTOENCODER, TEMPORAL_NAMES, WAV2VEC2, Family, PublishedFile

CONFIG = EmoConfig(
    name="v-express",
    reference=ReferenceConfig(reading="own", feature="norm2", scale=0.95),
    context=ContextConfig(token_width=768, in_backbone=False),
    audio=AudioConfig(
        feature_width=768,
        tokens=5,
        token_width=768,
        projection="resampler",
        scale=3.0,
        features="doubled",
    ),
    resampler=ResamplerConfig(rows=10, layers=4, heads=12, head_width=64),
    temporal=TemporalConfig(frames_per_clip=24, motion_frames=0, stored_positions=32),
    locator=LocatorConfig(channels=(16, 32, 96, 256), channels_in=3, reads="key points"),
    speed=SpeedConfig(buckets=0),
    diffusion=DiffusionConfig(beta_schedule="scaled_linear"),
    # Its voice encoder draws a number for each of its 12 layers from the generator of the noise.
    loop=LoopConfig("windows", overlap_frames=4, noise_skip=12),
    defaults=SamplingDefaults(fps=30.0, steps=25, voice_guidance=3.5, face_share=0.5),
    latent_scale=SD15_LATENT_SCALE,
)

V_EXPRESS = Family(
    name="v-express",
    title="V-Express",
    licence="non-commercial research only",
    source="https://huggingface.co/tk93/V-Express",
    good_at="photographs, head movements given by three key points",
    config=CONFIG,
    layouts=(
        (
            PublishedFile("reference_net", "reference_net."),
            PublishedFile("denoising_unet", "denoising_unet."),
            # Loaded after the denoising network, whose temporal modules it replaces.
            PublishedFile("motion_module", "denoising_unet."),
            PublishedFile("v_kps_guider", "v_kps_guider."),
            PublishedFile("audio_projection", "audio_projection."),
        ),
    ),
    names=(
        (r"^v_kps_guider\.", "backbone.face_locator."),
        (r"^denoising_unet\.", "backbone."),
        (r"^(backbone\..*\.attentions\..*)\.norm2\.", r"\1.audio.norm."),
        (r"^(backbone\..*\.attentions\..*)\.attn2\.", r"\1.audio.attn."),
        (r"^(backbone\..*\.attentions\..*)\.norm1_5\.", r"\1.norm2."),
        (r"^(backbone\..*\.attentions\..*)\.attn1_5\.", r"\1.attn2."),
        *TEMPORAL_NAMES,
    ),
    unused=(r"^reference_net\.conv_out\.",),
    external=(PICTURE_AUTOENCODER, WAV2VEC2),
)
