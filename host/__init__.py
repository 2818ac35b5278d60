"""The only room that knows ComfyUI. Without a host it gives torch's own services and the working folder.

Everything of the host is imported inside functions, so that the blocks are declared and tested without it.
"""

from .compute import DTYPES, compute_device, compute_dtype, manage
from .display import Report, file_entry, native_video, progress, say, show, show_video, workflow_metadata
from .folders import (
    MODEL_FOLDER,
    find_model_file,
    input_file,
    media_file,
    model_files,
    model_folders,
    model_path,
    output_path,
    published_folders,
    runs_folder,
    shared_folders,
)
from .present import hosted

__all__ = [
    "DTYPES",
    "MODEL_FOLDER",
    "Report",
    "compute_device",
    "compute_dtype",
    "file_entry",
    "find_model_file",
    "hosted",
    "input_file",
    "manage",
    "media_file",
    "model_files",
    "model_folders",
    "model_path",
    "native_video",
    "output_path",
    "progress",
    "published_folders",
    "runs_folder",
    "say",
    "shared_folders",
    "show",
    "show_video",
    "workflow_metadata",
]
