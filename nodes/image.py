"""Save Image: IMAGE -> png files that say that they are synthetic."""

from typing import TYPE_CHECKING, Any

from .. import host
from .marking_inputs import AIGC, CONSENT, MARKS

if TYPE_CHECKING:
    from torch import Tensor


class SaveImage:
    """Pictures to png files in the output folder, marked and signed."""

    CATEGORY = "EMO"
    DESCRIPTION = (
        "Saves pictures that a model made as png files with the workflow, marked as synthetic as videos are. "
        "Not for photographs: the marks would call them generated."
    )
    FUNCTION = "save"
    OUTPUT_NODE = True
    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("file",)
    OUTPUT_TOOLTIPS = ("Name of the last file in the output folder, for EMO Verify.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "images": ("IMAGE", {"tooltip": "The pictures; each becomes a file."}),
                "filename_prefix": (
                    "STRING",
                    {"default": "EMO", "tooltip": "Start of the files' names, with folders if wanted."},
                ),
            },
            "optional": {
                "latent": (
                    "LATENT",
                    {
                        "tooltip": "The EMO sampler's latents that the pictures were decoded from: they name "
                        "model and portrait in the credentials."
                    },
                ),
                "marks": MARKS,
                "label": (
                    "BOOLEAN",
                    {"default": False, "tooltip": "Write AI-generated on the pictures as well."},
                ),
                "aigc": AIGC,
                "consent": CONSENT,
            },
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

    def save(
        self,
        images: "Tensor",
        filename_prefix: str,
        latent: dict[str, Any] | None = None,
        marks: bool = True,
        label: bool = False,
        aigc: bool = False,
        consent: str = "",
        prompt: Any = None,
        extra_pnginfo: Any = None,
    ) -> Any:
        from functools import partial

        from ..steps.graph_pictures import save_pictures
        from ..steps.marking.settings import Marking

        graph = host.workflow_metadata(prompt, extra_pnginfo)
        marking = Marking(enabled=marks, label=label, aigc=aigc, consent=consent)
        next_path = partial(host.output_path, filename_prefix, suffix=".png")
        entries = [
            host.file_entry(path, temporary=False)
            for path in save_pictures(images, latent, graph, marking, next_path)
        ]
        last = entries[-1]
        name = f"{last['subfolder']}/{last['filename']}".lstrip("/")
        return host.show({"images": entries}, (name,))
