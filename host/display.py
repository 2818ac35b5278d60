"""What the user sees of a run: progress, preview, the video in the block. Without a host, a plain bar."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .folders import save_folder
from .present import host_module, hosted

if TYPE_CHECKING:
    import torch


class Report(Protocol):
    """Told how much is done so far; raises the host's own exception when the user cancels."""

    def __call__(
        self, done: int, text: str = "", picture: "Callable[[], torch.Tensor] | None" = None
    ) -> None:
        """done: parts finished; text: shown on the block; picture: makes a preview [H, W, 3] in 0..1."""


def progress(total: int, node_id: str | None = None) -> Report:
    """A progress bar of `total` parts: the host's, which also lets the user cancel, else tqdm's.

    node_id: the block that texts are shown on.
    """
    return _on_screen(total, node_id) if hosted() else _in_terminal(total)


def _on_screen(total: int, node_id: str | None) -> Report:
    bar = host_module("comfy.utils").ProgressBar(total)
    check_interrupt = host_module("comfy.model_management").throw_exception_if_processing_interrupted
    options = host_module("comfy.cli_args")
    wants_preview = options.args.preview_method != options.LatentPreviewMethod.NoPreviews

    def report(done: int, text: str = "", picture: "Callable[[], torch.Tensor] | None" = None) -> None:
        check_interrupt()
        preview = None
        if wants_preview and picture is not None:
            preview = ("JPEG", _pillow_image(picture()), options.args.preview_size)
        bar.update_absolute(done, total, preview)
        if text:
            say(text, node_id)

    return report


def _pillow_image(pixels: "torch.Tensor") -> Any:
    from PIL import Image

    return Image.fromarray((pixels.clamp(0, 1) * 255).round().byte().cpu().numpy())


def say(text: str, node_id: str | None) -> None:
    """Show a text on a block, where there is a page."""
    if hosted() and node_id is not None:
        host_module("server").PromptServer.instance.send_progress_text(text, node_id)


def _in_terminal(total: int) -> Report:
    from tqdm import tqdm

    shown = tqdm(total=total, leave=False, disable=None)

    def report(done: int, text: str = "", picture: "Callable[[], torch.Tensor] | None" = None) -> None:
        shown.set_description_str(text, refresh=False)
        shown.update(done - shown.n)
        if done >= total:
            shown.close()

    return report


def native_video(path: Path) -> Any:
    """A file as the host's VIDEO; without a host the path itself."""
    if hosted():
        return host_module("comfy_api.latest").InputImpl.VideoFromFile(str(path))
    return path


def workflow_metadata(prompt: Any, extra_pnginfo: Any) -> dict[str, str]:
    """The graph as text to be stored in a file; nothing where the user has turned that off, or without it.

    prompt, extra_pnginfo: what the host gives a block under these hidden names.
    """
    if hosted() and host_module("comfy.cli_args").args.disable_metadata:
        return {}
    graph = {**({} if prompt is None else {"prompt": prompt}), **(extra_pnginfo or {})}
    return {name: json.dumps(value) for name, value in graph.items()}


def show(shown: dict[str, Any], result: tuple[Any, ...]) -> Any:
    """What a block returns that tells the page something about its run; without a host the result alone."""
    return {"ui": shown, "result": result} if hosted() else result


def file_entry(path: Path, temporary: bool) -> dict[str, str]:
    """How the page asks the host for a file of its output or temporary folder."""
    subfolder = path.parent.relative_to(save_folder(temporary)).as_posix()
    return {
        "filename": path.name,
        "subfolder": "" if subfolder == "." else subfolder,
        "type": "temp" if temporary else "output",
    }


def show_video(path: Path, temporary: bool, result: tuple[Any, ...]) -> Any:
    """What a block returns that plays a video in itself; without a host the result alone."""
    return show({"images": [file_entry(path, temporary)], "animated": (True,)}, result)
