"""Combine Video: LATENT or IMAGE, and AUDIO -> a file and VIDEO."""

from typing import TYPE_CHECKING, Any

from .. import host
from .marking_inputs import AIGC, CONSENT, LABEL, MARKS

if TYPE_CHECKING:
    from torch import Tensor

_FORMATS = ["mp4", "mov"]


class CombineVideo:
    """Frames and sound to one file, a few frames at a time; it plays in the block."""

    CATEGORY = "EMO"
    DESCRIPTION = (
        "Writes frames and sound into a video file and plays it here. Of a latent, the pixels are never all "
        "in memory: it is decoded and written a few frames at a time."
    )
    FUNCTION = "combine"
    OUTPUT_NODE = True
    RETURN_TYPES = ("VIDEO",)
    RETURN_NAMES = ("video",)
    OUTPUT_TOOLTIPS = ("The video file, for Save Video and every block that takes VIDEO.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "audio": (
                    "AUDIO",
                    {
                        "tooltip": "The sound; its channels are averaged. Longer than the frames it is cut, "
                        "shorter it is followed by silence, and the log says so."
                    },
                ),
                "fps": (
                    "FLOAT",
                    {
                        "default": 25.0, "min": 1.0, "max": 240.0, "step": 0.001,
                        "tooltip": "Frames per second: the fps that EMO encode audio gives.",
                    },
                ),
                "format": (
                    _FORMATS,
                    {"default": "mp4", "tooltip": "The file's format; both hold H.264 and AAC."},
                ),
                "save_output": (
                    "BOOLEAN",
                    {
                        "default": True,
                        "tooltip": "Keep the file in the output folder; otherwise it is temporary, for a "
                        "Save Video behind it.",
                    },
                ),
                "filename_prefix": (
                    "STRING",
                    {"default": "video/EMO", "tooltip": "Start of the file's name, with folders if wanted."},
                ),
            },
            "optional": {
                "latent": ("LATENT", {"tooltip": "The frames as latents, from an EMO sampler."}),
                "vae": ("VAE", {"tooltip": "Decodes the latents: the VAE of Load EMO Model."}),
                "images": (
                    "IMAGE",
                    {"tooltip": "The frames as pictures of even width and height, instead of latents."},
                ),
                "marks": MARKS,
                "label": LABEL,
                "aigc": AIGC,
                "consent": CONSENT,
            },
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO", "unique_id": "UNIQUE_ID"},
        }

    def combine(
        self,
        audio: dict[str, Any],
        fps: float,
        format: str,
        save_output: bool,
        filename_prefix: str,
        latent: dict[str, Any] | None = None,
        vae: Any = None,
        images: "Tensor | None" = None,
        marks: bool = True,
        label: bool = False,
        aigc: bool = False,
        consent: str = "",
        prompt: Any = None,
        extra_pnginfo: Any = None,
        unique_id: str | None = None,
    ) -> Any:
        from ..steps.graph_video import frame_source, write_frames
        from ..steps.marking.settings import Marking

        source = frame_source(images, latent, vae)
        path = host.output_path(filename_prefix, not save_output, f".{format}")
        report = host.progress(source.count, unique_id)
        graph = host.workflow_metadata(prompt, extra_pnginfo)
        marking = Marking(enabled=marks, label=label, aigc=aigc, consent=consent)
        write_frames(path, source, audio, fps, graph, report, host.runs_folder(), marking)
        return host.show_video(path, not save_output, (host.native_video(path),))
