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
                "key_points": (
                    "STRING",
                    {
                        "default": "",
                        "tooltip": "For V-Express: x,y,x,y,x,y of both eyes, the picture's left one first, "
                        "and of the nose, in pixels of the picture; or a .npy, .safetensors or .pth file "
                        "[frames, 3, 2] in ComfyUI's input folder, or in models/emo. Empty: where an upright "
                        "face in the box has them.",
                    },
                ),
                "drawings": (
                    "IMAGE",
                    {
                        "tooltip": "For EchoMimic with poses: the face's landmarks, drawn on black for every "
                        "frame, of the picture's size. V-Express takes its key points so, too."
                    },
                ),
            },
        }

    @classmethod
    def IS_CHANGED(cls, face_embedding: str = "", key_points: str = "", **_inputs: Any) -> str:
        from ..steps.number_file import is_number_file

        files = [name for name in (face_embedding, key_points) if is_number_file(name)]
        stats = [host.input_file(name).stat() for name in files]
        return " ".join(f"{stat.st_size} {stat.st_mtime_ns}" for stat in stats)

    def encode(
        self,
        model: "GraphModel",
        image: "Tensor",
        face: "Face",
        vae: Any = None,
        face_embedding: str = "",
        key_points: str = "",
        drawings: "Tensor | None" = None,
    ) -> "tuple[PortraitReference, Tensor]":
        from ..steps.face_embedding import read_face_embedding
        from ..steps.graph_guide import face_guide
        from ..steps.graph_types import refer

        identity = read_face_embedding(host.input_file(face_embedding)) if face_embedding else None
        guide = face_guide(key_points, drawings, host.input_file)
        return refer(model, image, face, vae, identity, guide)
