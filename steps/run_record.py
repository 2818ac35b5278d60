"""What stands in a work folder: which run it belongs to, and how far that is, told by the files' names.

The settings that decide the run's result lie in it by name; what the other files are, resume.py says.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from .folder_lock import LOCK_NAME
from .whole_file import PART_PREFIX, write_whole

RUN_FILE = "emo-run.json"
_FORMAT = "comfyui-emo run 1"
_TENSORS, _SEGMENT = r"(clip|steps)-\d{6,}\.safetensors", r"segment-\d{4,}\.mp4"
OWN_NAME = re.compile(rf"({re.escape(PART_PREFIX)})?({_TENSORS}|{_SEGMENT}|{RUN_FILE}|{LOCK_NAME})")
"""Names of a run's files, those that are being written among them."""


def run_name(settings: Mapping[str, str]) -> str:
    """A name that belongs to a run's settings alone, for a work folder that no file name is known for."""
    return f"emo-run-{hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]}"


def digest(tensor: Tensor | None) -> str:
    """SHA-256 of a tensor's values, "none" where there is none: what stands for it among the settings."""
    if tensor is None:
        return "none"
    return hashlib.sha256(tensor.detach().float().cpu().contiguous().numpy().data).hexdigest()


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


def numbers(folder: Path, kind: str) -> list[int]:
    """Numbers of the stored files of a kind ("clip", "steps" or "segment"), in order."""
    return sorted(int(path.stem.split("-")[1]) for path in folder.glob(f"{kind}-*"))


def clips_in(folder: Path) -> int:
    """Clips of a work folder that need not be sampled again."""
    clips = numbers(folder, "clip")
    return clips[-1] + 1 if clips else 0


def work_in(folder: Path) -> str:
    """In words what of a sampler's work folder need not be done again; empty where there is nothing."""
    if clips := clips_in(folder):
        return f"{clips} clips"
    steps = numbers(folder, "steps")
    return f"{steps[-1]} steps" if steps else ""
