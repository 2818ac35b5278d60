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
        local_reference: let reference-attention prefer nearby places, by a learned amount a head. A small
            network that has to find this out by itself learns to copy colours, but neither eyes nor hair.
        aligned_reference: beside what it attends to, add the features it attends to to the Backbone's map,
            place by place, through a 1x1 convolution that starts at zero. A portrait's outline and
            fringe are then there from the first step on, nearly where they belong.
    """

    latent_channels: int = 4
    channels: tuple[int, ...] = (320, 640, 1280, 1280)
    attention_levels: tuple[bool, ...] = (True, True, True, False)
    layers_per_level: int = 2
    heads: int = 8
    norm_groups: int = 32
    feed_forward_multiplier: int = 4
    grid_positions: bool = False
    local_reference: bool = False
    aligned_reference: bool = False

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
class ReferenceConfig:
    """Reference-attention (paper, section 3.2): how the Backbone reads the ReferenceNet.

    Attributes:
        reading: "own" (an attention of its own after the self-attention) or "joined" (the self-attention sees
            the reference features beside the frame's own places).
        feature: which features of a ReferenceNet's block are read: "norm1", the normalised input of its
            self-attention, or "norm2", the normalised output of it.
        scale: factor on the output of a reference-attention of its own.
        half_precision: whether features are rounded to float16 whatever the model's dtype.
        in_turn: how more than one row of features is given to the frames of one clip: in turn, the first
            frame of row r reading feature row (frame count + r) modulo their number; otherwise a row of
            features serves all frames of its clip.
    """

    reading: Literal["own", "joined"] = "own"
    feature: Literal["norm1", "norm2"] = "norm2"
    scale: float = 1.0
    half_precision: bool = False
    in_turn: bool = False

    def __post_init__(self) -> None:
        require(self.reading in ("own", "joined"), f"reference reading {self.reading!r}", "'own' or 'joined'")
        require(
            self.feature in ("norm1", "norm2"), f"reference feature {self.feature!r}", "'norm1' or 'norm2'"
        )


@dataclass(frozen=True)
class ContextConfig:
    """A cross-attention to a few tokens about the portrait's identity, which the paper does not have.

    Attributes:
        token_width: width of a token.
        tokens: tokens of a portrait.
        embedding_width: width of the face embedding that is projected to the tokens; None: the tokens are
            given as they are.
        in_backbone: whether the Backbone has it too, or the ReferenceNet only.
    """

    token_width: int = 768
    tokens: int = 1
    embedding_width: int | None = None
    in_backbone: bool = True


@dataclass(frozen=True)
class AppearanceConfig:
    """A code of the portrait's small features, told to the Backbone's sites, which the paper does not have.

    Attributes:
        width: of the code.
        latent_side: side of the latents that it is read from, a multiple of 4.
        channels: of the encoder's three levels.
        hidden_width: of its last hidden layer.
        scale: factor on the code where it is told. The layers that tell it start from nothing and grow by so
            much a step; a small code would take thousands of steps to be heard among maps of size 2 to 6.
    """

    width: int
    latent_side: int = 16
    channels: tuple[int, int, int] = (64, 96, 128)
    hidden_width: int = 160
    scale: float = 10.0


@dataclass(frozen=True)
class AudioConfig:
    """The audio layers (paper, section 3.2): A(f-m)..A(f+m) as tokens of each frame.

    Attributes:
        feature_width: width of a frame's voice feature, the encoder's layers concatenated.
        window: m, frames to either side.
        hidden_width: inner width of the projection.
        tokens: tokens of a frame.
        token_width: width of a token.
        projection: what makes tokens of a window: "linear" (three layers over the whole window), "resampler"
            (learned queries that attend to it) or "none" (its rows are the tokens).
        place: where tokens are heard: "block" (in the transformer block), "module" (in a block of its own
            after it, region by region) or "none" (the voice does not enter the networks).
        scale: factor on the output of an audio-attention in the block.
        features: what a frame's voice features are: "resampled" (every block's state, averaged over the
            frame), "interpolated" (every block's state, of convolution features that were interpolated to
            the frame rate), "doubled" (the last state, interpolated to two rows a frame), "spectrogram" (the
            states of a spectrogram encoder at 50 Hz) or "none".
    """

    feature_width: int = 12 * 768
    window: int = 2
    hidden_width: int = 512
    tokens: int = 32
    token_width: int = 768
    projection: Literal["linear", "resampler", "none"] = "linear"
    place: Literal["block", "module", "none"] = "block"
    scale: float = 1.0
    features: Literal["resampled", "interpolated", "doubled", "spectrogram", "none"] = "resampled"

    def __post_init__(self) -> None:
        require(
            self.projection in ("linear", "resampler", "none"),
            f"audio projection {self.projection!r}",
            "'linear', 'resampler' or 'none'",
        )
        require(
            self.place in ("block", "module", "none"),
            f"audio place {self.place!r}",
            "'block', 'module', 'none'",
        )


@dataclass(frozen=True)
class ResamplerConfig:
    """The inside of an audio projection by learned queries (Flamingo's perceiver resampler).

    Attributes:
        rows: voice features of a window.
        layers: attention and feed-forward layers.
        heads: attention heads.
        head_width: width of one head.
        feed_forward_multiplier: inner width of the feed-forward over its outer width.
    """

    rows: int = 10
    layers: int = 4
    heads: int = 12
    head_width: int = 64
    feed_forward_multiplier: int = 4


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
        stored_positions: frames whose position codes come with the weights; 0: they are computed.
        every_site: whether levels without attention have temporal modules too (AnimateDiff: yes).
        motion_feature: what is seen of motion frames: "output", the output of the ReferenceNet's site, or
            "reference", the features that reference-attention reads there.
    """

    frames_per_clip: int = 12
    motion_frames: int = 4
    heads: int = 8
    attentions: int = 2
    norm_groups: int = 32
    feed_forward_multiplier: int = 4
    stored_positions: int = 0
    every_site: bool = True
    motion_feature: Literal["output", "reference"] = "output"

    def __post_init__(self) -> None:
        require(
            self.frames_per_clip >= 1 and 0 <= self.motion_frames <= self.frames_per_clip,
            f"frames_per_clip {self.frames_per_clip}, motion_frames {self.motion_frames}",
            "at least one frame a clip and no more motion frames than that",
        )
        require(
            self.stored_positions == 0 or self.frames_per_clip + self.motion_frames <= self.stored_positions,
            f"{self.frames_per_clip} frames and {self.motion_frames} motion frames",
            f"at most the {self.stored_positions} frames whose positions come with the weights",
        )
        require(
            self.motion_feature in ("output", "reference"),
            f"motion feature {self.motion_feature!r}",
            "'output' or 'reference'",
        )


@dataclass(frozen=True)
class LocatorConfig:
    """The face locator (paper, section 3.2).

    Attributes:
        channels: widths of its convolutions; each after the first halves the side, so the mask enters
            2**(len - 1) times larger than the latent.
        place: where its output is added: "latent" (the paper's text) or "conv_in" (after the Backbone's first
            convolution, what every public checkpoint of this skeleton does).
        channels_in: channels of the mask or drawing that it reads.
        reads: what that is: "face" (a mask of the face), "key points" (eyes and nose, drawn) or "poses" (a
            drawing of its own for every frame).
        guides: whether the unconditional half of guidance is told too, so that guidance leaves it alone.
    """

    channels: tuple[int, ...] = (16, 32, 96, 256)
    place: Literal["latent", "conv_in"] = "conv_in"
    channels_in: int = 1
    reads: Literal["face", "key points", "poses"] = "face"
    guides: bool = False

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
        buckets: d; 0: the model has no speed layers.
        highest: centre of the last bucket; the first is at 0 and they are evenly spaced.
        window: m, frames to either side.
    """

    buckets: int = 9
    highest: float = 2.0
    window: int = 2

    def __post_init__(self) -> None:
        require(
            (self.buckets == 0 or self.buckets >= 2) and self.highest > 0,
            f"{self.buckets} buckets up to {self.highest}",
            "no bucket or at least 2, and a positive speed",
        )
