"""Load EMO Model: a file of weights -> EMO_MODEL."""

from typing import TYPE_CHECKING, Any

from .. import host

if TYPE_CHECKING:
    from ..models.checkpoints.emo import LoadedModel

BUNDLED = "bundled avatar model"


class LoadModel:
    """The bundled model or a file of the `emo` folder, told apart by its tensors."""

    CATEGORY = "EMO"
    DESCRIPTION = "Loads an EMO model, all networks in one file. The bundled one animates drawn avatars."
    FUNCTION = "load"
    RETURN_TYPES = ("EMO_MODEL",)
    RETURN_NAMES = ("model",)
    OUTPUT_TOOLTIPS = ("The model, for every other EMO block.",)

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
            }
        }

    def load(self, model_file: str) -> "tuple[LoadedModel]":
        from ..models.checkpoints.emo import BUNDLED_MODEL, load_model
        from ..steps.graph_types import check_complete

        path = BUNDLED_MODEL if model_file == BUNDLED else host.model_path(model_file)
        return (check_complete(load_model(path)),)
