"""The autoencoder of SD 1.5 sized models (sd-vae-ft-mse): diffusers' AutoencoderKL behind our interface."""

from typing import Any

import torch
from torch import Tensor, nn


class PictureAutoencoder(nn.Module):
    """Pixels [B, 3, 8h, 8w] in 0..1 <-> latents [B, 4, h, w] in the autoencoder's own scale.

    channels: widths of the levels, 128, 256, 512 and 512 in the published file; tests take less.
    """

    def __init__(self, channels: tuple[int, ...] = (128, 256, 512, 512), norm_groups: int = 32):
        super().__init__()
        # Takes seconds to import, and only models of published weights need it.
        from diffusers import AutoencoderKL

        sizes: dict[str, Any] = {
            "block_out_channels": channels,
            "down_block_types": ("DownEncoderBlock2D",) * len(channels),
            "up_block_types": ("UpDecoderBlock2D",) * len(channels),
        }
        self.vae = AutoencoderKL(layers_per_block=2, norm_num_groups=norm_groups, latent_channels=4, **sizes)

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> Tensor:
        """The mean latents of pictures."""
        pictures = (2 * pixels - 1).to(self.vae.dtype)
        return self.vae.encode(pictures).latent_dist.mean  # type: ignore[union-attr]

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Pixels, about 0..1 and not clamped; picture by picture, which bounds the memory."""
        own = latents.to(self.vae.dtype)
        pictures = [self.vae.decode(one).sample for one in own.split(1)]  # type: ignore[union-attr]
        return torch.cat(pictures).float() / 2 + 0.5
