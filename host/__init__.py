"""The only room that knows ComfyUI. Without a host it gives torch's own services and the working folder.

Everything of the host is imported inside functions, so that the blocks are declared and tested without it.
"""

from .compute import compute_device, on_device
from .display import Report, native_video, progress, show_video
from .folders import MODEL_FOLDER, find_model_file, model_files, model_folders, model_path, output_path
from .present import hosted

__all__ = [
    "MODEL_FOLDER",
    "Report",
    "compute_device",
    "find_model_file",
    "hosted",
    "model_files",
    "model_folders",
    "model_path",
    "native_video",
    "on_device",
    "output_path",
    "progress",
    "show_video",
]
