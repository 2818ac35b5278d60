"""Combine Video: IMAGE and AUDIO -> a file and VIDEO."""

from typing import TYPE_CHECKING, Any

from .. import host

if TYPE_CHECKING:
    from torch import Tensor


class CombineVideo:
    """Frames and sound to one mp4 file, which plays in the block."""

    CATEGORY = "EMO"
    DESCRIPTION = "Writes frames and sound into an mp4 file (H.264 and AAC) and plays it here."
    FUNCTION = "combine"
    OUTPUT_NODE = True
    RETURN_TYPES = ("VIDEO",)
    RETURN_NAMES = ("video",)
    OUTPUT_TOOLTIPS = ("The video file, for Save Video and every block that takes VIDEO.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "images": ("IMAGE", {"tooltip": "The frames of the video, of even width and height."}),
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
                "save_output": (
                    "BOOLEAN",
                    {
                        "default": True,
                        "tooltip": "Keep the file in the output folder; otherwise it is temporary, for a "
                        "Save Video behind it, which stores the workflow too.",
                    },
                ),
                "filename_prefix": (
                    "STRING",
                    {"default": "video/EMO", "tooltip": "Start of the file's name, with folders if wanted."},
                ),
            }
        }

    def combine(
        self, images: "Tensor", audio: dict[str, Any], fps: float, save_output: bool, filename_prefix: str
    ) -> Any:
        from ..steps.graph_tensors import write_images

        path = host.output_path(filename_prefix, temporary=not save_output)
        write_images(path, images, audio, fps)
        return host.show_video(path, not save_output, (host.native_video(path),))
