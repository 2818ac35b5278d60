"""Devices and output files: checked before anything takes long, and whole or not there."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ..errors import InputError
from ..steps.whole_file import whole_file as whole_file_step

log = logging.getLogger(__name__)


def choose_device(name: str) -> torch.device:
    """The device of this name, tried out; "auto" takes an accelerator if torch sees one.

    Raises:
        InputError: this torch has no such device.
    """
    accelerators = {
        "cuda": torch.cuda.is_available,
        "xpu": torch.xpu.is_available,
        "mps": torch.backends.mps.is_available,
    }
    usable = [*(kind for kind, is_there in accelerators.items() if is_there()), "cpu"]
    chosen = usable[0] if name == "auto" else name
    if chosen.split(":")[0] not in usable or not _answers(chosen):
        raise InputError(
            got=f"device {name!r}, which torch {torch.__version__} cannot use here",
            allowed=", ".join(("auto", *usable)),
            do="choose one of these, or install the build of torch that fits this machine",
        )
    log.info("computing on %s", chosen)
    return torch.device(chosen)


def _answers(device: str) -> bool:
    try:
        torch.zeros(1, device=device)
    except RuntimeError:
        return False
    return True


def check_output_folder(path: Path) -> None:
    """Raise InputError unless a file can be made in the folder of `path`; leaves none there."""
    try:
        with tempfile.TemporaryFile(dir=path.absolute().parent):
            pass
    except OSError as error:
        raise _cannot_write(path, error) from error


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path to write to, which gets the name `path` when the block ends well, and else is removed.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        with whole_file_step(path) as part:
            yield part
    except OSError as error:
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: OSError) -> InputError:
    return InputError(
        got=f"{path.absolute()} cannot be written: {error.strerror or error}",
        allowed="a file in a folder that exists and can be written to, with room on its disk",
        do="make the folder first, choose another, or free space",
    )
