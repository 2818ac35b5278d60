"""Load EMO Model: a file of weights -> EMO_MODEL and the VAE that belongs to it."""

from typing import TYPE_CHECKING, Any

from .. import host

if TYPE_CHECKING:
    from ..steps.graph_model import GraphModel, ModelVae

BUNDLED = "bundled avatar model"


class LoadModel:
    """The bundled model or a file of the `emo` folder, told apart by its tensors."""

    CATEGORY = "EMO"
    DESCRIPTION = "Loads an EMO model, all networks in one file. The bundled one animates drawn avatars."
    FUNCTION = "load"
    RETURN_TYPES = ("EMO_MODEL", "VAE")
    RETURN_NAMES = ("model", "vae")
    OUTPUT_TOOLTIPS = (
        "The model, for every other EMO block.",
        "The model's own autoencoder, for EMO Combine Video and the host's VAE Decode and VAE Encode.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "model_file": (
                    [BUNDLED, *host.model_files()],
                    {
                        "default": BUNDLED,
                        "tooltip": "The model that comes with the pack, or a file of the folder models/emo.",
                    },
                ),
                "dtype": (
                    list(host.DTYPES),
                    {
                        "default": host.DTYPES[0],
                        "tooltip": "What the model computes in. auto: what ComfyUI takes on this device; "
                        "float32 is exact and takes twice the memory of the other two.",
                    },
                ),
            }
        }

    def load(self, model_file: str, dtype: str) -> "tuple[GraphModel, ModelVae]":
        from ..models.build import parameter_count
        from ..models.checkpoints.emo import BUNDLED_MODEL, load_model
        from ..steps.graph_model import ModelVae, manage_model
        from ..steps.marking.terms import show_terms

        loaded = load_model(BUNDLED_MODEL if model_file == BUNDLED else host.model_path(model_file))
        show_terms(loaded.config.name)
        chosen = host.compute_dtype(dtype, parameter_count(loaded.networks.backbone))
        model = manage_model(loaded, chosen, host.manage)
        return model, ModelVae(model)
