"""Which run a work folder belongs to: the settings that decide its result, by name, in the folder itself."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from .whole_file import write_whole

RUN_FILE = "emo-run.json"
_FORMAT = "comfyui-emo run 1"


def run_name(settings: Mapping[str, str]) -> str:
    """A name that belongs to a run's settings alone, for a work folder that no file name is known for."""
    return f"emo-run-{hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]}"


def digest(tensor: Tensor | None) -> str:
    """SHA-256 of a tensor's values, "none" where there is none: what stands for it among the settings."""
    if tensor is None:
        return "none"
    return hashlib.sha256(tensor.detach().float().cpu().contiguous().numpy().tobytes()).hexdigest()


def store_settings(folder: Path, settings: Mapping[str, str]) -> None:
    """Make a folder that of a run.

    Raises:
        OSError: the file cannot be written.
    """
    content = json.dumps({"format": _FORMAT, "settings": dict(settings)}, indent=2)
    write_whole(folder / RUN_FILE, content.encode())


def stored_settings(folder: Path) -> dict[str, str]:
    """The settings of the run that a folder belongs to; empty where it is no work folder."""
    try:
        stored = json.loads((folder / RUN_FILE).read_bytes())
        return stored["settings"] if stored["format"] == _FORMAT else {}
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return {}


def differing(some: Mapping[str, str], others: Mapping[str, str]) -> list[str]:
    """Names of the settings that are not the same, in order."""
    return [name for name in sorted(some.keys() | others.keys()) if some.get(name) != others.get(name)]
