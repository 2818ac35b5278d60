"""Reference Net: IMAGE -> EMO_REFERENCE, once per portrait."""

from typing import TYPE_CHECKING, Any

from .. import host

if TYPE_CHECKING:
    from torch import Tensor

    from ..models.checkpoints.emo import LoadedModel
    from ..steps.graph_types import Face, PortraitReference


class ReferenceNet:
    """The portrait's features that the Backbone attends to (paper, section 3.2)."""

    CATEGORY = "EMO"
    DESCRIPTION = "Crops the portrait around the face as the model expects and runs the ReferenceNet on it."
    FUNCTION = "encode"
    RETURN_TYPES = ("EMO_REFERENCE", "IMAGE")
    RETURN_NAMES = ("reference", "portrait")
    OUTPUT_TOOLTIPS = (
        "The portrait as the model sees it, for the EMO sampler.",
        "The part of the picture that will be animated, at the model's size.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "model": ("EMO_MODEL", {"tooltip": "The model whose ReferenceNet runs."}),
                "image": ("IMAGE", {"tooltip": "One picture of a person: the one the face was located in."}),
                "face": ("EMO_FACE", {"tooltip": "The face, from the EMO face region."}),
            }
        }

    def encode(
        self, model: "LoadedModel", image: "Tensor", face: "Face"
    ) -> "tuple[PortraitReference, Tensor]":
        from ..steps.graph_tensors import images_of_frames, portrait_of_image
        from ..steps.graph_types import PortraitReference, fit_located
        from ..steps.reference import run_reference_net

        fitted = fit_located(portrait_of_image(image), face, model.config)
        reference = run_reference_net(model.networks, fitted, host.on_device(model.networks))
        return PortraitReference(reference, fitted, face, model.path), images_of_frames(fitted.pixels)
