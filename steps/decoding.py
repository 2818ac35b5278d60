"""Latents of a clip -> frames."""

import torch
from torch import Tensor

from ..models.build import EmoNetworks


@torch.inference_mode()
def decode_clip(networks: EmoNetworks, latents: Tensor, frames_at_once: int | None = None) -> Tensor:
    """Latents [1, F, C, h, w] -> frames [F, 3, H, W] in 0..1, all together or so many at a time."""
    decode = networks.autoencoder.decode  # type: ignore[union-attr]
    parts = (latents[0] / networks.config.latent_scale).split(frames_at_once or latents.shape[1])
    return torch.cat([decode(part) for part in parts]).clamp(0, 1)
