"""The reference net's step: a fitted portrait -> what the sampler needs of it, once per portrait."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..models.build import EmoNetworks
from ..models.reference_net import SiteFeatures
from .portrait import FittedPortrait


@dataclass(frozen=True, eq=False)
class Reference:
    """A portrait as the networks see it.

    Attributes:
        latents: [1, C, h, w].
        features: the ReferenceNet's features of every site.
    """

    latents: Tensor
    features: tuple[SiteFeatures, ...]


@torch.inference_mode()
def run_reference_net(networks: EmoNetworks, portrait: FittedPortrait, device: torch.device) -> Reference:
    """Encode a portrait and run the ReferenceNet on it (paper, section 3.2)."""
    latents = networks.autoencoder.encode(portrait.pixels.to(device))  # type: ignore[union-attr]
    return Reference(latents, networks.reference_net(latents))


@torch.inference_mode()
def motion_features(networks: EmoNetworks, latents: Tensor) -> tuple[Tensor, ...]:
    """Latents of motion frames [1, n, C, h, w] -> the ReferenceNet's outputs of every site, likewise."""
    features = networks.reference_net(latents.flatten(0, 1))
    return tuple(site.output.unflatten(0, latents.shape[:2]) for site in features)
