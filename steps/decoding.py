"""Latents of a clip -> frames."""

import torch
from torch import Tensor

from ..models.build import EmoNetworks


@torch.inference_mode()
def decode_clip(networks: EmoNetworks, latents: Tensor) -> Tensor:
    """Latents [1, F, C, h, w] -> frames [F, 3, H, W] in 0..1."""
    return networks.autoencoder.decode(latents[0] / networks.config.latent_scale).clamp(0, 1)  # type: ignore[union-attr]
