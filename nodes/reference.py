"""Reference Net: IMAGE -> EMO_REFERENCE, once per portrait."""

from typing import TYPE_CHECKING, Any

from .. import host

if TYPE_CHECKING:
    from torch import Tensor

    from ..steps.graph_model import GraphModel
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
            },
            "optional": {
                "vae": (
                    "VAE",
                    {"tooltip": "Encodes the portrait, for a model without an autoencoder of its own."},
                ),
                "face_embedding": (
                    "STRING",
                    {
                        "default": "",
                        "tooltip": "For Hallo only, and not needed: a .npy or .safetensors file in ComfyUI's "
                        "input folder, or in models/emo, with the 512 numbers that the extra library "
                        "insightface (buffalo_l) gives of the face. Empty: no known face.",
                    },
                ),
            },
        }

    @classmethod
    def IS_CHANGED(cls, face_embedding: str = "", **_inputs: Any) -> str:
        if not face_embedding:
            return ""
        stat = host.input_file(face_embedding).stat()
        return f"{stat.st_size} {stat.st_mtime_ns}"

    def encode(
        self,
        model: "GraphModel",
        image: "Tensor",
        face: "Face",
        vae: Any = None,
        face_embedding: str = "",
    ) -> "tuple[PortraitReference, Tensor]":
        from ..steps.face_embedding import read_face_embedding
        from ..steps.graph_types import refer

        identity = read_face_embedding(host.input_file(face_embedding)) if face_embedding else None
        return refer(model, image, face, vae, identity)
