"""The frozen description of the networks: every choice the paper leaves open, by name, part by part."""

from dataclasses import dataclass
from typing import Literal

from ..errors import InputError


def require(condition: bool, got: str, allowed: str) -> None:
    """Raise an InputError about a model's configuration unless the condition holds."""
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
        require(
            len(self.channels) == len(self.attention_levels),
            f"{len(self.channels)} widths and {len(self.attention_levels)} attention levels",
            "one of each a level",
        )
        require(
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
        require(
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
        require(self.place in ("latent", "conv_in"), f"locator place {self.place!r}", "'latent' or 'conv_in'")

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
        require(
            self.buckets >= 2 and self.highest > 0,
            f"{self.buckets} buckets up to {self.highest}",
            "at least 2 buckets and a positive speed",
        )
