"""The frozen description of a model: every choice the paper leaves open, by name.

One `EmoConfig` and `build.py` give the networks; the same code gives the full SD 1.5 size
(`EmoConfig()`, the defaults) and the bundled avatar size (`avatar_config()`).
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ..errors import InputError
from .autoencoder_config import AutoencoderConfig
from .network_config import (
    AppearanceConfig,
    AudioConfig,
    ContextConfig,
    LocatorConfig,
    ReferenceConfig,
    ResamplerConfig,
    SpatialConfig,
    SpeedConfig,
    TemporalConfig,
    require,
)
from .voice_encoder_config import VoiceEncoderConfig

__all__ = [
    "SD15_LATENT_SCALE",
    "AudioConfig",
    "ContextConfig",
    "DiffusionConfig",
    "EmoConfig",
    "LocatorConfig",
    "LoopConfig",
    "ReferenceConfig",
    "ResamplerConfig",
    "SamplingDefaults",
    "SpatialConfig",
    "SpeedConfig",
    "TemporalConfig",
]


@dataclass(frozen=True)
class DiffusionConfig:
    """Noise schedule and prediction type (the paper is silent on them).

    Attributes:
        beta_schedule: diffusers' name: "linear", "scaled_linear" or "squaredcos_cap_v2".
        beta_start, beta_end: of the first two schedules.
        zero_terminal_snr: rescale so that the last step is pure noise.
        prediction_type: diffusers' name: "v_prediction" or "epsilon".
        noise_correlation_frames: the noise of neighbouring frames is alike over about this many frames
            (sigma of a Gaussian smoothing of white noise along time, going on from clip to clip); 0: white.
    """

    beta_schedule: str = "linear"
    beta_start: float = 0.00085
    beta_end: float = 0.012
    zero_terminal_snr: bool = True
    prediction_type: str = "v_prediction"
    noise_correlation_frames: float = 0.0


@dataclass(frozen=True)
class LoopConfig:
    """How a video longer than a clip is denoised.

    Attributes:
        kind: "clips" (one after the other, each from the last frames of the one before) or "windows" (all
            frames at every step, in overlapping windows whose predictions are averaged).
        overlap_frames: frames that neighbouring windows share.
        closed: whether the windows wrap from the end of the video to its start.
        rotation_frames: frames by which closed windows move on from step to step.
        noise_limit: the noise that sampling starts from is clamped to plus and minus this; None: it is not.
        noise_skip: numbers drawn from the seed before the noise, so that a seed gives the published result.
    """

    kind: Literal["clips", "windows"] = "clips"
    overlap_frames: int = 0
    closed: bool = False
    rotation_frames: int = 0
    noise_limit: float | None = None
    noise_skip: int = 0

    def __post_init__(self) -> None:
        require(self.kind in ("clips", "windows"), f"loop {self.kind!r}", "'clips' or 'windows'")
        require(self.overlap_frames >= 0, f"overlap_frames {self.overlap_frames}", "0 or more")


@dataclass(frozen=True)
class SamplingDefaults:
    """What a run uses where the user says nothing; they come with the weights.

    Attributes:
        width_px, height_px: size of the picture the model was trained on.
        fps: frame rate it was trained on.
        steps: denoising steps.
        scheduler: name of the sampler, see steps/schedulers.py.
        voice_guidance: guidance scale of the voice; 1 turns the part without voice off.
        portrait_guidance: guidance scale of the portrait; 1 turns the part without portrait off.
        guided_share, motion_share, seam_fade_frames, speed_gain, pose_noise_scale, pose_noise_share: see
            steps/sampling_settings.py.
        noise_scale: deviation of the noise that sampling starts from. Below 1 a model that is not trained to
            the end stays nearer to what it knows: fewer broken faces, less movement.
        calm, normal, active: head speeds of the three styles in degrees per frame.
        face_share: face height over picture height that the model expects.
    """

    width_px: int = 512
    height_px: int = 512
    fps: float = 30.0
    steps: int = 40
    scheduler: str = "ddim"
    voice_guidance: float = 3.5
    portrait_guidance: float = 1.0
    guided_share: float = 1.0
    motion_share: float = 1.0
    seam_fade_frames: float = 0.0
    speed_gain: float = 1.0
    noise_scale: float = 1.0
    pose_noise_scale: float | None = None
    pose_noise_share: float = 0.375
    calm: float = 0.2
    normal: float = 0.6
    active: float = 1.0
    face_share: float = 0.5


LATENT_DOWNSCALE = 8
"""Picture side over latent side, of every autoencoder of this skeleton."""

SD15_LATENT_SCALE = 0.18215
"""Latents of about unit variance over those of SD 1.5's autoencoder."""


@dataclass(frozen=True)
class EmoConfig:
    """A whole model. The defaults are the full SD 1.5 size of the paper.

    The autoencoder and voice encoder may be None: then they are files of their own
    (sd-vae-ft-mse, wav2vec2-base-960h). A context, appearance or resampler of None: the model has none.

    Attributes:
        latent_scale: latents as the Backbone sees them over those that the autoencoder gives.
    """

    name: str = "emo-sd15"
    spatial: SpatialConfig = field(default_factory=SpatialConfig)
    reference: ReferenceConfig = field(default_factory=ReferenceConfig)
    context: ContextConfig | None = None
    appearance: AppearanceConfig | None = None
    audio: AudioConfig = field(default_factory=AudioConfig)
    resampler: ResamplerConfig | None = None
    temporal: TemporalConfig = field(default_factory=TemporalConfig)
    locator: LocatorConfig = field(default_factory=LocatorConfig)
    speed: SpeedConfig = field(default_factory=SpeedConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    defaults: SamplingDefaults = field(default_factory=SamplingDefaults)
    autoencoder: AutoencoderConfig | None = None
    voice_encoder: VoiceEncoderConfig | None = None
    latent_scale: float = 1.0

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for the metadata of a file of weights."""
        return asdict(self)

    def __post_init__(self) -> None:
        require(
            (self.audio.projection == "resampler") == (self.resampler is not None),
            f"audio projection {self.audio.projection!r} and resampler {self.resampler}",
            "a resampler where the projection is one, and nowhere else",
        )
        require(
            self.loop.overlap_frames < self.temporal.frames_per_clip,
            f"{self.loop.overlap_frames} overlapping frames of {self.temporal.frames_per_clip}",
            "fewer than the frames of a window",
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "EmoConfig":
        """Back from `to_dict`, also after a way through JSON.

        Raises:
            InputError: if a value is missing, unknown or out of range.
        """
        parts = {
            "spatial": SpatialConfig,
            "reference": ReferenceConfig,
            "context": ContextConfig,
            "appearance": AppearanceConfig,
            "audio": AudioConfig,
            "resampler": ResamplerConfig,
            "temporal": TemporalConfig,
            "locator": LocatorConfig,
            "speed": SpeedConfig,
            "diffusion": DiffusionConfig,
            "loop": LoopConfig,
            "defaults": SamplingDefaults,
            "autoencoder": AutoencoderConfig,
            "voice_encoder": VoiceEncoderConfig,
        }
        try:
            arguments: dict[str, Any] = {
                name: parts[name](**_tuples(value)) if name in parts and value is not None else value
                for name, value in values.items()
            }
            return cls(**arguments)
        except (TypeError, AttributeError) as error:
            raise InputError(
                got=f"a model configuration that does not fit ({error})",
                allowed="the fields of EmoConfig, as written by this version of the pack",
                do="update the pack, or write the weights again with it",
            ) from error


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
