"""Configuration of the voice encoder (EMO section 3.2, "Audio Layers"): a wav2vec 2.0 of any size."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from transformers import Wav2Vec2Config

SAMPLE_RATE_HZ = 16000


@dataclass(frozen=True)
class VoiceEncoderConfig:
    """Shape and habits of a voice encoder.

    Attributes:
        layers: transformer blocks; each gives one feature vector per moment.
        width: width of a block.
        heads: attention heads of a block.
        feedforward_width: inner width of a block's feed-forward part.
        conv_channels: widths of the convolutions on the waveform.
        conv_kernels: their kernel sizes in samples.
        conv_strides: their strides; the product is the hop between features.
        conv_norm: "layer" (every convolution normalises its own output) or "group" (only the first does, over
            the whole waveform, as wav2vec2-base).
        conv_bias: whether the convolutions have a bias.
        position_kernel: features that the convolutional position embedding sees.
        position_groups: its groups.
        norm_first: whether blocks normalise their input rather than their output.
        normalise_waveform: whether a waveform is brought to zero mean and unit variance first.
        level_floor: level (root mean square, full scale is 1) below which a waveform counts as silence: it is
            divided by sqrt(variance + level_floor^2), so that silence stays silence.
        normalise_features: whether each block's hidden state is layer-normalised (without weights).
        attention_radius: features on each side that a feature attends to; None for all.
    """

    layers: int = 4
    width: int = 96
    heads: int = 4
    feedforward_width: int = 256
    conv_channels: tuple[int, ...] = (32, 48, 64, 96, 96, 96, 96)
    conv_kernels: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_strides: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    conv_norm: str = "layer"
    conv_bias: bool = True
    position_kernel: int = 31
    position_groups: int = 4
    norm_first: bool = True
    normalise_waveform: bool = True
    level_floor: float = 2e-3
    normalise_features: bool = True
    attention_radius: int | None = 24

    def __post_init__(self) -> None:
        problems = {
            f"layers {self.layers}": self.layers < 1,
            f"width {self.width} with {self.heads} heads": self.heads < 1 or self.width % self.heads != 0,
            f"width {self.width} with {self.position_groups} position_groups": self.position_groups < 1
            or self.width % self.position_groups != 0,
            "conv_channels, conv_kernels and conv_strides of different lengths": not (
                len(self.conv_channels) == len(self.conv_kernels) == len(self.conv_strides) > 0
            ),
            f"conv_norm {self.conv_norm!r}": self.conv_norm not in ("layer", "group"),
            f"level_floor {self.level_floor}": not self.level_floor > 0,
            f"attention_radius {self.attention_radius}": self.attention_radius is not None
            and self.attention_radius < 1,
        }
        found = [problem for problem, wrong in problems.items() if wrong]
        if found:
            raise InputError(
                got="; ".join(found),
                allowed="layers >= 1, a width that heads and position_groups divide, three convolution lists "
                "of one length, conv_norm 'layer' or 'group', level_floor > 0, attention_radius >= 1 or None",
                do="change the voice encoder's configuration",
            )

    @classmethod
    def wav2vec2_base(cls) -> "VoiceEncoderConfig":
        """The shape of wav2vec2-base-960h: 12 blocks of width 768."""
        return cls(
            layers=12,
            width=768,
            heads=12,
            feedforward_width=3072,
            conv_channels=(512,) * 7,
            conv_norm="group",
            conv_bias=False,
            position_kernel=128,
            position_groups=16,
            norm_first=False,
            # The square root of the 1e-7 that the published preprocessor adds to the variance.
            level_floor=1e-7**0.5,
            normalise_features=False,
            attention_radius=None,
        )

    @property
    def hop_samples(self) -> int:
        """Samples from one feature to the next."""
        return math.prod(self.conv_strides)

    @property
    def receptive_field_samples(self) -> int:
        """Samples that the convolutions join into one feature."""
        field, stride = 1, 1
        for kernel, step in zip(self.conv_kernels, self.conv_strides, strict=True):
            field += (kernel - 1) * stride
            stride *= step
        return field

    @property
    def feature_rate_hz(self) -> float:
        """Features per second: 50."""
        return SAMPLE_RATE_HZ / self.hop_samples

    @property
    def first_feature_s(self) -> float:
        """The moment that feature 0 stands for."""
        return self.receptive_field_samples / 2 / SAMPLE_RATE_HZ

    @property
    def reach_features(self) -> int | None:
        """Features on each side that can change a feature; None if all can."""
        if self.attention_radius is None:
            return None
        return self.layers * self.attention_radius + self.position_kernel // 2

    def feature_count(self, sample_count: int) -> int:
        """Features of a waveform of so many samples."""
        return max(0, (sample_count - self.receptive_field_samples) // self.hop_samples + 1)

    def transformers_config(self) -> "Wav2Vec2Config":
        """The same in transformers' words; nothing that only training from raw speech needs."""
        from transformers import Wav2Vec2Config

        return Wav2Vec2Config(
            hidden_size=self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            intermediate_size=self.feedforward_width,
            conv_dim=self.conv_channels,
            conv_kernel=self.conv_kernels,
            conv_stride=self.conv_strides,
            conv_bias=self.conv_bias,
            feat_extract_norm=self.conv_norm,
            num_conv_pos_embeddings=self.position_kernel,
            num_conv_pos_embedding_groups=self.position_groups,
            do_stable_layer_norm=self.norm_first,
            hidden_dropout=0.0,
            attention_dropout=0.0,
            activation_dropout=0.0,
            feat_proj_dropout=0.0,
            layerdrop=0.0,
            apply_spec_augment=False,
            mask_time_prob=0.0,
            mask_feature_prob=0.0,
        )
