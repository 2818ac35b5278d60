"""The small autoencoder of the bundled model: pixels <-> latents, 8 times smaller a side.

SD 1.5 sized models use diffusers' `AutoencoderKL`; this one exists because that layout works at full
picture size for most of its layers, which two CPU cores cannot do faster than playback. Pixels enter by a
4x4 pixel-unshuffle and leave by pixel-shuffles, so no layer is wider than half the picture.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import InputError
from .autoencoder_config import AutoencoderConfig


class ResidualBlock(nn.Module):
    """GroupNorm-SiLU-convolution twice, added to its input. [B, C, h, w] -> the same shape."""

    def __init__(self, channels: int, norm_groups: int):
        super().__init__()
        self.norm1 = nn.GroupNorm(norm_groups, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(norm_groups, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, hidden: Tensor) -> Tensor:
        residual = self.conv1(F.silu(self.norm1(hidden)))
        return hidden + self.conv2(F.silu(self.norm2(residual)))


def _upsample(channels_in: int, channels_out: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels_in, 4 * channels_out, 3, padding=1), nn.PixelShuffle(2))


class Autoencoder(nn.Module):
    """Pixels to latents of zero mean and unit variance a channel, and back."""

    def __init__(self, config: AutoencoderConfig):
        super().__init__()
        self.config = config
        quarter, eighth, half = config.channels
        groups = config.norm_groups

        def blocks(width: int, count: int) -> list[nn.Module]:
            return [ResidualBlock(width, groups) for _ in range(count)]

        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(3 * 16, quarter, 3, padding=1),
            *blocks(quarter, config.encoder_layers[0]),
            nn.Conv2d(quarter, eighth, 3, stride=2, padding=1),
            *blocks(eighth, config.encoder_layers[1]),
            nn.GroupNorm(groups, eighth),
            nn.SiLU(),
            nn.Conv2d(eighth, config.latent_channels, 3, padding=1),
        )
        self.latent_norm = nn.BatchNorm2d(config.latent_channels, affine=False, momentum=0.02)
        self.decoder = nn.Sequential(
            nn.Conv2d(config.latent_channels, eighth, 3, padding=1),
            *blocks(eighth, config.decoder_layers[0]),
            _upsample(eighth, quarter),
            *blocks(quarter, config.decoder_layers[1]),
            _upsample(quarter, half),
            *blocks(half, config.decoder_layers[2]),
            nn.GroupNorm(groups, half),
            nn.SiLU(),
            nn.Conv2d(half, 3 * 4, 3, padding=1),
            nn.PixelShuffle(2),
        )

    @property
    def dtype(self) -> torch.dtype:
        """What the network computes in; what enters it is brought to it, what leaves it is brought back."""
        return self.decoder[0].weight.dtype  # type: ignore[return-value]

    def encode(self, pixels: Tensor) -> Tensor:
        """Pixels [B, 3, 8h, 8w] in 0..1 -> latents [B, C, h, w].

        Raises:
            InputError: if a side is not a multiple of 8.
        """
        height, width = pixels.shape[-2:]
        if height % self.config.downscale or width % self.config.downscale:
            raise InputError(
                got=f"a picture of {width}x{height} pixels",
                allowed=f"sides that are multiples of {self.config.downscale}",
                do="fit the picture to the model's size first (fit_portrait)",
            )
        scaled = (pixels * 2 - 1).to(self.dtype)
        return self.latent_norm(self.encoder(scaled)).to(pixels.dtype)

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, C, h, w] -> pixels [B, 3, 8h, 8w], about 0..1 and not clamped."""
        return self.decoder(latents.to(self.dtype)).to(latents.dtype) * 0.5 + 0.5

    @torch.no_grad()
    def reconstruct(self, pixels: Tensor) -> Tensor:
        """Pixels through the latents and back, clamped to 0..1: the ceiling of any video it decodes."""
        return self.decode(self.encode(pixels)).clamp(0, 1)
