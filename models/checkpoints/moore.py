"""Moore-AnimateAnyone: an open rebuild of Animate Anyone (arXiv 2311.17117), moved by drawn poses alone."""

from ..config import (
    SD15_LATENT_SCALE,
    AudioConfig,
    ContextConfig,
    DiffusionConfig,
    EmoConfig,
    LocatorConfig,
    LoopConfig,
    ReferenceConfig,
    SamplingDefaults,
    SpeedConfig,
    TemporalConfig,
)
from .family import PICTURE_AUTOENCODER, TEMPORAL_NAMES, ExternalFile, Family, PublishedFile

CONFIG = EmoConfig(
    name="moore",
    reference=ReferenceConfig(reading="joined", feature="norm1", half_precision=True),
    context=ContextConfig(token_width=768, tokens=1),
    audio=AudioConfig(projection="none", place="none", features="none"),
    temporal=TemporalConfig(frames_per_clip=24, motion_frames=0, stored_positions=32),
    locator=LocatorConfig(channels=(16, 32, 96, 256), channels_in=3, reads="poses", guides=True),
    speed=SpeedConfig(buckets=0),
    diffusion=DiffusionConfig(beta_schedule="linear"),
    loop=LoopConfig("windows", overlap_frames=4, closed=True),
    defaults=SamplingDefaults(fps=24.0, steps=30, voice_guidance=3.5, face_share=0.3),
    latent_scale=SD15_LATENT_SCALE,
)

MOORE = Family(
    name="moore",
    title="Moore-AnimateAnyone",
    licence="Apache-2.0",
    source="https://huggingface.co/patrolli/AnimateAnyone",
    good_at="whole bodies that follow drawn poses; it hears no voice",
    config=CONFIG,
    layouts=(
        (
            PublishedFile("reference_unet", "reference_unet.", by_name=True),
            PublishedFile("motion_module", "denoising_unet."),
            # The tensors of a text-to-image network: only the name tells it.
            PublishedFile("denoising_unet", "denoising_unet.", by_name=True),
            PublishedFile("pose_guider", "pose_guider."),
        ),
    ),
    names=(
        (r"^reference_unet\.", "reference_net."),
        (r"^denoising_unet\.", "backbone."),
        (r"^pose_guider\.", "backbone.face_locator."),
        (r"^(backbone\..*\.attentions\..*)\.norm2\.", r"\1.context.norm."),
        (r"^(backbone\..*\.attentions\..*)\.attn2\.", r"\1.context.attn."),
        *TEMPORAL_NAMES,
    ),
    external=(
        PICTURE_AUTOENCODER,
        ExternalFile(
            "image_encoder of sd-image-variations-diffusers",
            "models/clip_vision",
            "https://huggingface.co/lambdalabs/sd-image-variations-diffusers",
            "CreativeML Open RAIL-M",
            r"image_encoder",
        ),
    ),
)
