"""The frozen description of a model: every choice the paper leaves open, by name.

One `EmoConfig` and `build.py` give the networks; the same code gives the full SD 1.5 size
(`EmoConfig()`, the defaults) and the bundled avatar size (`avatar_config()`).
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ..errors import InputError
from .autoencoder import AutoencoderConfig
from .voice_encoder import VoiceEncoderConfig


def _require(condition: bool, got: str, allowed: str) -> None:
    if not condition:
        raise InputError(got=got, allowed=allowed, do="change the model's configuration")


@dataclass(frozen=True)
class SpatialConfig:
    """The image skeleton that Backbone and ReferenceNet share (SD 1.5's UNet).

    Attributes:
        latent_channels: channels of a latent.
        channels: width of each level, finest first.
        attention_levels: whether a level has transformer blocks (SD 1.5: all but the coarsest).
        layers_per_level: residual blocks a level on the way down; one more on the way up.
        heads: attention heads of every spatial attention.
        norm_groups: groups of every GroupNorm.
        feed_forward_multiplier: inner width of the feed-forward over its outer width.
        grid_positions: add 2-D sinusoids to queries and keys of self- and reference-attention. SD 1.5 has
            none and finds positions through its convolutions; a small network copies eyes to their place
            only with them.
    """

    latent_channels: int = 4
    channels: tuple[int, ...] = (320, 640, 1280, 1280)
    attention_levels: tuple[bool, ...] = (True, True, True, False)
    layers_per_level: int = 2
    heads: int = 8
    norm_groups: int = 32
    feed_forward_multiplier: int = 4
    grid_positions: bool = False

    def __post_init__(self) -> None:
        _require(
            len(self.channels) == len(self.attention_levels),
            f"{len(self.channels)} widths and {len(self.attention_levels)} attention levels",
            "one of each a level",
        )
        _require(
            all(width % self.norm_groups == 0 and width % self.heads == 0 for width in self.channels),
            f"widths {self.channels} with {self.norm_groups} groups and {self.heads} heads",
            "widths that both numbers divide",
        )

    @property
    def time_width(self) -> int:
        """Width of the timestep embedding."""
        return 4 * self.channels[0]


@dataclass(frozen=True)
class AudioConfig:
    """The audio layers (paper, section 3.2): A(f-m)..A(f+m) as tokens of each frame.

    Attributes:
        feature_width: width of a frame's voice feature, the encoder's layers concatenated.
        window: m, frames to either side.
        hidden_width: inner width of the projection.
        tokens: tokens of a frame.
        token_width: width of a token.
    """

    feature_width: int = 12 * 768
    window: int = 2
    hidden_width: int = 512
    tokens: int = 32
    token_width: int = 768


@dataclass(frozen=True)
class TemporalConfig:
    """The temporal modules (paper, section 3.2; AnimateDiff) and their motion frames.

    Attributes:
        frames_per_clip: F, new frames of a clip.
        motion_frames: n, last frames of the clip before.
        heads: attention heads.
        attentions: self-attentions over the frame axis in a module (AnimateDiff: 2).
        norm_groups: groups of the module's GroupNorm (AnimateDiff: 32).
        feed_forward_multiplier: inner width of the feed-forward over its outer width.
    """

    frames_per_clip: int = 12
    motion_frames: int = 4
    heads: int = 8
    attentions: int = 2
    norm_groups: int = 32
    feed_forward_multiplier: int = 4

    def __post_init__(self) -> None:
        _require(
            self.frames_per_clip >= 1 and 0 <= self.motion_frames <= self.frames_per_clip,
            f"frames_per_clip {self.frames_per_clip}, motion_frames {self.motion_frames}",
            "at least one frame a clip and no more motion frames than that",
        )


@dataclass(frozen=True)
class LocatorConfig:
    """The face locator (paper, section 3.2).

    Attributes:
        channels: widths of its convolutions; each after the first halves the side, so the mask enters
            2**(len - 1) times larger than the latent.
        place: where its output is added: "latent" (the paper's text) or "conv_in" (after the Backbone's first
            convolution, what every public checkpoint of this skeleton does).
    """

    channels: tuple[int, ...] = (16, 32, 96, 256)
    place: Literal["latent", "conv_in"] = "conv_in"

    def __post_init__(self) -> None:
        _require(
            self.place in ("latent", "conv_in"), f"locator place {self.place!r}", "'latent' or 'conv_in'"
        )

    @property
    def mask_scale(self) -> int:
        """Side of the mask over the side of the latent."""
        return 2 ** (len(self.channels) - 1)


@dataclass(frozen=True)
class SpeedConfig:
    """The speed layers (paper, section 3.2): d buckets of head rotation speed, in degrees per frame.

    Attributes:
        buckets: d.
        highest: centre of the last bucket; the first is at 0 and they are evenly spaced.
        window: m, frames to either side.
    """

    buckets: int = 9
    highest: float = 2.0
    window: int = 2

    def __post_init__(self) -> None:
        _require(
            self.buckets >= 2 and self.highest > 0,
            f"{self.buckets} buckets up to {self.highest}",
            "at least 2 buckets and a positive speed",
        )


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
class SamplingDefaults:
    """What a run uses where the user says nothing; they come with the weights.

    Attributes:
        width_px, height_px: size of the picture the model was trained on.
        fps: frame rate it was trained on.
        steps: denoising steps.
        scheduler: name of the sampler, see steps/schedulers.py.
        voice_guidance: guidance scale of the voice; 1 turns the part without voice off.
        portrait_guidance: guidance scale of the portrait; 1 turns the part without portrait off.
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
    noise_scale: float = 1.0
    calm: float = 0.2
    normal: float = 0.6
    active: float = 1.0
    face_share: float = 0.5


LATENT_DOWNSCALE = 8
"""Picture side over latent side, of every autoencoder of this skeleton."""


@dataclass(frozen=True)
class EmoConfig:
    """A whole model. The defaults are the full SD 1.5 size of the paper.

    The autoencoder and voice encoder may be None: then they are files of their own
    (sd-vae-ft-mse, wav2vec2-base-960h).

    Attributes:
        latent_scale: latents as the Backbone sees them over those that the autoencoder gives (0.18215 for
            SD 1.5's autoencoder).
    """

    name: str = "emo-sd15"
    spatial: SpatialConfig = field(default_factory=SpatialConfig)
    audio: AudioConfig = field(default_factory=AudioConfig)
    temporal: TemporalConfig = field(default_factory=TemporalConfig)
    locator: LocatorConfig = field(default_factory=LocatorConfig)
    speed: SpeedConfig = field(default_factory=SpeedConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    defaults: SamplingDefaults = field(default_factory=SamplingDefaults)
    autoencoder: AutoencoderConfig | None = None
    voice_encoder: VoiceEncoderConfig | None = None
    latent_scale: float = 1.0

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for the metadata of a file of weights."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "EmoConfig":
        """Back from `to_dict`, also after a way through JSON.

        Raises:
            InputError: if a value is missing, unknown or out of range.
        """
        parts = {
            "spatial": SpatialConfig,
            "audio": AudioConfig,
            "temporal": TemporalConfig,
            "locator": LocatorConfig,
            "speed": SpeedConfig,
            "diffusion": DiffusionConfig,
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
