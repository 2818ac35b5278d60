"""What the user sees of a run: progress, the video in the block. Without a host, a bar in the terminal."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .folders import save_folder
from .present import host_module, hosted

Report = Callable[[int], None]
"""Told how much is done so far; raises the host's own exception when the user cancels."""


def progress(total: int) -> Report:
    """A progress bar of `total` parts: the host's, which also lets the user cancel, else tqdm's."""
    if hosted():
        bar = host_module("comfy.utils").ProgressBar(total)
        check_interrupt = host_module("comfy.model_management").throw_exception_if_processing_interrupted

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
        return host_module("comfy_api.latest").InputImpl.VideoFromFile(str(path))
    return path


def show_video(path: Path, temporary: bool, result: tuple[Any, ...]) -> Any:
    """What a block returns that plays a video in itself; without a host the result alone."""
    if not hosted():
        return result
    subfolder = path.parent.relative_to(save_folder(temporary)).as_posix()
    entry = {
        "filename": path.name,
        "subfolder": "" if subfolder == "." else subfolder,
        "type": "temp" if temporary else "output",
    }
    return {"ui": {"images": [entry], "animated": (True,)}, "result": result}
