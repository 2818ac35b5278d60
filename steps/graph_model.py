"""A model in the graph, and its autoencoder as the host's VAE."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..models.build import denoise_in
from ..models.checkpoints.emo import LoadedModel
from ..models.config import LATENT_DOWNSCALE
from ..models.picture_autoencoder import PictureAutoencoder
from .graph_tensors import check_latents, frames_of_images, images_of_frames
from .memory import estimate_memory, frames_decoded_at_once, pictures_decoded_at_once

Bring = Callable[..., torch.device]

_PICTURES_AT_ONCE = 16


@dataclass(frozen=True, eq=False)
class GraphModel(LoadedModel):
    """A model whose networks are in the care of whoever runs the graph (EMO_MODEL).

    Attributes:
        bring: called with names of networks (and `memory_bytes`, the room wanted beside them), brings them to
            the compute device and gives that device.
    """

    bring: Bring

    def bring_all(self) -> torch.device:
        """Bring every network of the model."""
        return self.bring(*self._parts())

    def bring_for_run(self, guided: bool) -> tuple[torch.device, int]:
        """Bring every network of a model of this project, with room beside them for a clip.

        Gives the device, and how many frames of a clip can be decoded there together.

        Raises:
            InputError: the device cannot hold a clip.
        """
        need = estimate_memory(self.config, guided, next(self.networks.parameters()).dtype)
        device = self.bring(*self._parts(), memory_bytes=need.beside_weights(1))
        return device, frames_decoded_at_once(self.networks, device, guided, placed=True)

    def _parts(self) -> list[str]:
        return [name for name, _ in self.networks.named_children()]


def manage_model(
    loaded: LoadedModel, dtype: torch.dtype, manage: Callable[[Mapping[str, nn.Module]], Bring]
) -> GraphModel:
    """Give a model's networks into somebody's care, those that denoise in the dtype chosen."""
    denoise_in(loaded.networks, dtype)
    parts = dict(loaded.networks.named_children())
    return GraphModel(
        loaded.networks, loaded.path, loaded.training, manage(parts), files=loaded.files
    )


@dataclass(frozen=True, eq=False)
class ModelVae:
    """The model's own autoencoder with the calls that core VAE Decode and Encode make of the host's VAE."""

    model: GraphModel

    def decode(self, samples: Tensor) -> Tensor:
        """Latents [F, C, h, w] -> the host's IMAGE [F, H, W, 3], as many at a time as the device holds.

        Raises:
            InputError: latents of another model, or a model without an autoencoder.
        """
        check_latents(self.model, {"samples": samples})
        device = self._bring()
        autoencoder = self.model.networks.autoencoder
        with torch.inference_mode():
            parts = [
                images_of_frames(autoencoder.decode(part.to(device)).clamp(0, 1))  # type: ignore[union-attr]
                for part in samples.float().split(self._decoded_at_once(device))
            ]
        return torch.cat(parts)

    def encode(self, pixels: Tensor) -> Tensor:
        """The host's IMAGE [B, H, W, 3] -> latents [B, C, h, w] on the CPU.

        Raises:
            InputError: sides that the model's latents do not divide, or a model without an autoencoder.
        """
        device = self._bring()
        autoencoder = self.model.networks.autoencoder
        with torch.inference_mode():
            parts = [
                autoencoder.encode(part.to(device)).cpu()  # type: ignore[union-attr]
                for part in frames_of_images(pixels).float().split(_PICTURES_AT_ONCE)
            ]
        return torch.cat(parts)

    def decode_tiled(self, samples: Tensor, **_tiles: int) -> Tensor:
        """As `decode`: pictures of this model's size need no tiles."""
        return self.decode(samples)

    def encode_tiled(self, pixels: Tensor, **_tiles: int) -> Tensor:
        """As `encode`: pictures of this model's size need no tiles."""
        return self.encode(pixels)

    def spacial_compression_decode(self) -> int:
        """Picture side over latent side, under the host's name for it."""
        return LATENT_DOWNSCALE

    def temporal_compression_decode(self) -> None:
        """Frames are decoded one by one."""

    def _decoded_at_once(self, device: torch.device) -> int:
        networks = self.model.networks
        if isinstance(networks.autoencoder, PictureAutoencoder):
            return _PICTURES_AT_ONCE  # it takes them one by one anyway
        return pictures_decoded_at_once(networks, device, _PICTURES_AT_ONCE)

    def _bring(self) -> torch.device:
        if self.model.networks.autoencoder is None:
            raise InputError(
                got=f"the model {self.model.path.name}, which has no autoencoder of its own",
                allowed="a VAE of its kind",
                do="load that VAE (Load VAE) and connect it instead",
            )
        return self.model.bring("autoencoder")
