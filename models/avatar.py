"""The configuration of the bundled avatar model: the whole EMO architecture, small."""

from .autoencoder_config import AutoencoderConfig
from .config import (
    AppearanceConfig,
    AudioConfig,
    DiffusionConfig,
    EmoConfig,
    LocatorConfig,
    SamplingDefaults,
    SpatialConfig,
    SpeedConfig,
    TemporalConfig,
)
from .voice_encoder import VoiceEncoderConfig

AVATAR_AUTOENCODER = AutoencoderConfig(latent_channels=16)
"""The autoencoder of the bundled model. With 8 channels it lost the colour of irises and brows."""


AVATAR_APPEARANCE = AppearanceConfig(width=35)
"""The code of a drawn avatar: the numbers that make it itself, `training.avatars.identity.identity_codes`."""


def avatar_config() -> EmoConfig:
    """128x128 pixels, 25 fps, three levels of latents from 16x16, attention on all of them.

    Attention at the finest level is where eyes and glasses are copied; two heads, because on a CPU the cost
    of attention over 256 places is mostly that of its weights, which grows with the heads. Noise is alike
    over neighbouring frames, so that what the voice does not decide changes slowly.
    """
    voice = VoiceEncoderConfig()
    return EmoConfig(
        name="avatar-128",
        spatial=SpatialConfig(
            latent_channels=AVATAR_AUTOENCODER.latent_channels,
            channels=(48, 80, 96),
            attention_levels=(True, True, True),
            layers_per_level=1,
            heads=2,
            norm_groups=8,
            feed_forward_multiplier=2,
            grid_positions=True,
            local_reference=True,
            aligned_reference=True,
        ),
        appearance=AVATAR_APPEARANCE,
        audio=AudioConfig(
            feature_width=voice.layers * voice.width, window=2, hidden_width=256, tokens=4, token_width=96
        ),
        temporal=TemporalConfig(
            frames_per_clip=12,
            motion_frames=4,
            heads=2,
            attentions=1,
            norm_groups=8,
            feed_forward_multiplier=2,
        ),
        locator=LocatorConfig(channels=(16, 32), place="conv_in"),
        speed=SpeedConfig(buckets=9, highest=2.0, window=2),
        diffusion=DiffusionConfig(
            beta_schedule="squaredcos_cap_v2", zero_terminal_snr=True, noise_correlation_frames=5.0
        ),
        defaults=SamplingDefaults(
            width_px=128,
            height_px=128,
            fps=25.0,
            steps=8,
            scheduler="ddim",
            voice_guidance=1.5,
            guided_share=0.25,
            motion_share=0.125,
            seam_fade_frames=4.0,
            speed_gain=1.75,
            noise_scale=0.18,
            pose_noise_scale=1.4,
            pose_noise_share=0.125,
            calm=0.2,
            normal=0.5,
            active=0.7,
            face_share=0.72,
        ),
        autoencoder=AVATAR_AUTOENCODER,
        voice_encoder=voice,
    )
