"""The only file that knows ComfyUI. Without a host it gives torch's own services and the working folder.

Everything of the host is imported inside functions, so that the blocks are declared and tested without it.
"""

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import WeightsError

if TYPE_CHECKING:
    import torch

MODEL_FOLDER = "emo"
"""The folder of models, under the host's folder `models` and in its extra_model_paths."""

_WEIGHTS_SUFFIX = ".safetensors"
_DETECTOR_SUFFIX = ".pth"

Report = Callable[[int], None]
"""Told how much is done so far; raises the host's own exception when the user cancels."""


def hosted() -> bool:
    """Whether this runs inside ComfyUI."""
    return "folder_paths" in sys.modules


def _host(name: str) -> Any:
    return importlib.import_module(name)


def compute_device() -> "torch.device":
    """The device to compute on: the host's choice, else CUDA where there is one."""
    if hosted():
        return _host("comfy.model_management").get_torch_device()
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def on_device(module: "torch.nn.Module") -> "torch.device":
    """Bring a network to the compute device and give that device."""
    device = compute_device()
    module.to(device)
    return device


def model_folders() -> list[Path]:
    """Where files of weights are looked for; the folder is announced to the host, never made."""
    if not hosted():
        return [Path("models") / MODEL_FOLDER]
    folder_paths = _host("folder_paths")
    own = os.path.join(folder_paths.models_dir, MODEL_FOLDER)
    known, _ = folder_paths.folder_names_and_paths.get(MODEL_FOLDER, ([], set()))
    if own not in known:
        folder_paths.add_model_folder_path(MODEL_FOLDER, own, is_default=True)
    folder_paths.folder_names_and_paths[MODEL_FOLDER][1].update((_WEIGHTS_SUFFIX, _DETECTOR_SUFFIX))
    return [Path(folder) for folder in folder_paths.get_folder_paths(MODEL_FOLDER)]


def model_files() -> list[str]:
    """Names of the models in the folders, relative to them, as a list to choose from shows them."""
    folders = model_folders()
    if hosted():
        names = _host("folder_paths").get_filename_list(MODEL_FOLDER)
        return [name for name in names if name.endswith(_WEIGHTS_SUFFIX)]
    found = ((folder, path) for folder in folders for path in folder.rglob(f"*{_WEIGHTS_SUFFIX}"))
    return sorted(path.relative_to(folder).as_posix() for folder, path in found)


def find_model_file(name: str) -> Path | None:
    """A file of this name in the folders; None if there is none."""
    found = (folder / name for folder in model_folders())
    return next((path for path in found if path.is_file()), None)


def model_path(name: str) -> Path:
    """A file of this name in the folders.

    Raises:
        WeightsError: there is none.
    """
    path = find_model_file(name)
    if path is None:
        raise WeightsError(
            got=f"no file {name}",
            allowed=f"a model in {', '.join(str(folder) for folder in model_folders())}",
            do="put the file there, or choose the bundled model",
        )
    return path


def _save_folder(temporary: bool) -> Path:
    if not hosted():
        return Path("temp" if temporary else "output").absolute()
    folder_paths = _host("folder_paths")
    return Path(folder_paths.get_temp_directory() if temporary else folder_paths.get_output_directory())


def output_path(prefix: str, temporary: bool = False, suffix: str = ".mp4") -> Path:
    """A new file `<prefix>_00001_.mp4` in the host's output or temporary folder; subfolders are made.

    Args:
        prefix: name, with subfolders in front if wanted ("video/EMO").
        temporary: in the folder that the host empties when it starts.
        suffix: end of the name.
    """
    base = _save_folder(temporary)
    if hosted():
        folder, name, count, _, _ = _host("folder_paths").get_save_image_path(prefix, str(base))
        return Path(folder) / f"{name}_{count:05}_{suffix}"
    stem = base / prefix
    stem.parent.mkdir(parents=True, exist_ok=True)
    count = 1
    while (path := stem.with_name(f"{stem.name}_{count:05}_{suffix}")).exists():
        count += 1
    return path


def progress(total: int) -> Report:
    """A progress bar of `total` parts: the host's, which also lets the user cancel, else tqdm's."""
    if hosted():
        bar = _host("comfy.utils").ProgressBar(total)
        check_interrupt = _host("comfy.model_management").throw_exception_if_processing_interrupted

        def report(done: int) -> None:
            bar.update_absolute(done)
            check_interrupt()

        return report
    from tqdm import tqdm

    shown = tqdm(total=total, leave=False, disable=None)

    def report_plainly(done: int) -> None:
        shown.update(done - shown.n)
        if done >= total:
            shown.close()

    return report_plainly


def native_video(path: Path) -> Any:
    """A file as the host's VIDEO; without a host the path itself."""
    if hosted():
        return _host("comfy_api.latest").InputImpl.VideoFromFile(str(path))
    return path


def show(shown: dict[str, Any], result: tuple[Any, ...]) -> Any:
    """What a block returns that tells the page something about its run; without a host the result alone."""
    return {"ui": shown, "result": result} if hosted() else result


def file_entry(path: Path, temporary: bool) -> dict[str, str]:
    """How the page asks the host for a file of its output or temporary folder."""
    subfolder = path.parent.relative_to(_save_folder(temporary)).as_posix()
    return {
        "filename": path.name,
        "subfolder": "" if subfolder == "." else subfolder,
        "type": "temp" if temporary else "output",
    }


def show_video(path: Path, temporary: bool, result: tuple[Any, ...]) -> Any:
    """What a block returns that plays a video in itself; without a host the result alone."""
    return show({"images": [file_entry(path, temporary)], "animated": (True,)}, result)
