"""Hallo (arXiv 2406.08801) and Hallo2 (arXiv 2410.07718): one model code, one table.

The published inference runs the Backbone in training mode, and the weights' results are those of that mode:
motion frames at every place with attention, no temporal modules elsewhere. That is what is described here.
"""

from ..config import (
    SD15_LATENT_SCALE,
    AudioConfig,
    ContextConfig,
    DiffusionConfig,
    EmoConfig,
    LocatorConfig,
    ReferenceConfig,
    SamplingDefaults,
    SpeedConfig,
    TemporalConfig,
)
from .family import PICTURE_AUTOENCODER, TEMPORAL_NAMES, WAV2VEC2, Family, PublishedFile

CONFIG = EmoConfig(
    name="hallo",
    reference=ReferenceConfig(reading="joined", feature="norm1", half_precision=True, in_turn=True),
    context=ContextConfig(token_width=768, tokens=4, embedding_width=512),
    audio=AudioConfig(
        feature_width=12 * 768,
        window=2,
        hidden_width=512,
        tokens=32,
        token_width=768,
        place="module",
        features="interpolated",
    ),
    temporal=TemporalConfig(
        frames_per_clip=16,
        motion_frames=2,
        stored_positions=32,
        every_site=False,
        motion_feature="reference",
    ),
    locator=LocatorConfig(channels=(16, 32, 64, 128), channels_in=3),
    speed=SpeedConfig(buckets=0),
    diffusion=DiffusionConfig(beta_schedule="linear"),
    defaults=SamplingDefaults(fps=25.0, steps=40, voice_guidance=3.5, face_share=0.6),
    latent_scale=SD15_LATENT_SCALE,
)

HALLO = Family(
    name="hallo",
    title="Hallo, Hallo2",
    licence="MIT",
    source="https://huggingface.co/fudan-generative-ai/hallo2",
    good_at="photographs, close to the portrait, head and lips weighted apart",
    config=CONFIG,
    layouts=(
        (PublishedFile("net"),),
        (
            PublishedFile("reference_unet", "reference_unet."),
            PublishedFile("denoising_unet", "denoising_unet."),
            PublishedFile("face_locator", "face_locator."),
            PublishedFile("imageproj", "imageproj."),
            PublishedFile("audioproj", "audioproj."),
        ),
    ),
    names=(
        (r"^reference_unet\.", "reference_net."),
        (r"^denoising_unet\.", "backbone."),
        (r"^face_locator\.", "backbone.face_locator."),
        (r"^imageproj\.", "identity_projection."),
        (r"^audioproj\.", "audio_projection."),
        (r"^(backbone\..*\.attentions\..*)\.norm2\.", r"\1.context.norm."),
        (r"^(backbone\..*\.attentions\..*)\.attn2\.", r"\1.context.attn."),
        *TEMPORAL_NAMES,
    ),
    # Temporal modules of the levels without attention are never run.
    unused=(r"^denoising_unet\.(down_blocks\.3|up_blocks\.0)\.motion_modules\.",),
    external=(PICTURE_AUTOENCODER, WAV2VEC2),
)
