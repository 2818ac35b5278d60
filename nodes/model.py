"""Load EMO Model: a file of weights, or a folder of published ones -> EMO_MODEL and its VAE."""

from typing import TYPE_CHECKING, Any

from .. import host

if TYPE_CHECKING:
    pass

BUNDLED = "bundled avatar model"
_DTYPE_TOOLTIP = (
    "What the model computes in. auto: what ComfyUI takes on this device; float32 is exact and takes twice "
    "the memory of the other two."
)


def _published() -> dict[str, tuple[str, str]]:
    """Folders of published files as the list shows them -> (folder, family)."""
    from ..models.checkpoints.tables import families_of

    return {
        f"{folder} [{family.name}]": (folder, family.name)
        for folder, names in host.published_folders().items()
        for family in families_of(names)
    }


def _choices() -> list[str]:
    published = _published()
    inside = {folder for folder, _ in published.values()}
    return [BUNDLED, *published, *(name for name in host.model_files() if name.split("/")[0] not in inside)]


def _model_tooltip() -> str:
    from ..models.checkpoints.tables import FAMILIES

    licences = "; ".join(f"{family.title}: {family.licence}" for family in FAMILIES if family.hears)
    return (
        "The model that comes with the pack, a file of the folder models/emo, or a folder in it with the "
        f"files that a family publishes. Licences of the weights: {licences}."
    )


class LoadModel:
    """The bundled model, a file of the `emo` folder or a folder of published files, told by tensors."""

    CATEGORY = "EMO"
    DESCRIPTION = (
        "Loads an EMO model and says its licence and defaults. The bundled one animates drawn avatars; for "
        "photographs take the published files of Hallo, EchoMimic or V-Express."
    )
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
                "model_file": (_choices(), {"default": BUNDLED, "tooltip": _model_tooltip()}),
                "dtype": (list(host.DTYPES), {"default": host.DTYPES[0], "tooltip": _DTYPE_TOOLTIP}),
            },
            "hidden": {"unique_id": "UNIQUE_ID"},
        }

    def load(self, model_file: str, dtype: str, unique_id: str | None = None) -> Any:
        from ..models.build import parameter_count
        from ..models.checkpoints.emo import load_model
        from ..models.checkpoints.open_model import open_model
        from ..steps.graph_model import ModelVae, manage_model
        from ..steps.marking.terms import show_terms
        from ..steps.model_card import describe_model
        from ..steps.published_talk import require_voice_driven

        if model_file == BUNDLED:
            loaded = load_model()
        else:
            folder, family = _published().get(model_file, (model_file, None))
            loaded = open_model(host.model_path(folder), family, shared=host.shared_folders())
        require_voice_driven(loaded.config)
        show_terms(loaded.config.name)
        told = describe_model(loaded)
        host.say(told, unique_id)
        chosen = host.compute_dtype(dtype, parameter_count(loaded.networks.backbone))
        model = manage_model(loaded, chosen, host.manage)
        return host.show({"text": [told]}, (model, ModelVae(model)))
