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

    def on(self, device: torch.device) -> "Reference":
        """The same on a device."""
        return Reference(self.latents.to(device), tuple(site.to(device) for site in self.features))


@torch.inference_mode()
def run_reference_net(networks: EmoNetworks, portrait: FittedPortrait, device: torch.device) -> Reference:
    """Encode a portrait with the model's own autoencoder and run the ReferenceNet on it."""
    return reference_of_latents(networks, networks.autoencoder.encode(portrait.pixels.to(device)))  # type: ignore[union-attr]


@torch.inference_mode()
def reference_of_latents(networks: EmoNetworks, latents: Tensor) -> Reference:
    """Run the ReferenceNet (section 3.2) on a portrait's latents [1, C, h, w] from its autoencoder."""
    scaled = latents * networks.config.latent_scale
    return Reference(scaled, networks.reference_net(scaled))


@torch.inference_mode()
def motion_features(networks: EmoNetworks, latents: Tensor) -> tuple[Tensor, ...]:
    """Latents of motion frames [1, n, C, h, w] -> the ReferenceNet's outputs of every site, likewise."""
    features = networks.reference_net(latents.flatten(0, 1))
    return tuple(site.output.unflatten(0, latents.shape[:2]) for site in features)
