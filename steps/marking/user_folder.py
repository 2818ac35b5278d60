"""The folder of what belongs to the user: a local certificate, records of runs, terms that were shown."""

import os
import sys
from pathlib import Path

VARIABLE = "COMFYUI_EMO_HOME"
"""Environment variable that names another folder."""


def user_folder() -> Path:
    """The folder's path; it is made when something is kept in it."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return base / "comfyui-emo"


def keep_privately(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read (mode 0600), whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
