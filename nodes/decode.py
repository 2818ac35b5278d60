"""EMO Decode: LATENT -> IMAGE."""

from typing import TYPE_CHECKING, Any

from .. import host

if TYPE_CHECKING:
    from torch import Tensor

    from ..models.checkpoints.emo import LoadedModel


class Decode:
    """Latents of all frames to pictures, clip by clip."""

    CATEGORY = "EMO"
    DESCRIPTION = "Decodes the sampler's latents with the model's own autoencoder."
    FUNCTION = "decode"
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("images",)
    OUTPUT_TOOLTIPS = ("The frames of the video, one picture each.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "model": ("EMO_MODEL", {"tooltip": "The model that the latents were sampled with."}),
                "latent": ("LATENT", {"tooltip": "The latents, from the EMO sampler."}),
            }
        }

    def decode(self, model: "LoadedModel", latent: dict[str, Any]) -> "tuple[Tensor]":
        from ..steps.graph_tensors import check_latents, decode_latents

        check_latents(model, latent)
        device = host.on_device(model.networks)
        report = host.progress(-(-len(latent["samples"]) // model.config.temporal.frames_per_clip))
        return (decode_latents(model, latent, device, report),)
