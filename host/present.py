"""Whether there is a host, and its modules, which are imported only where they are needed."""

import importlib
import sys
from typing import Any


def hosted() -> bool:
    """Whether this runs inside ComfyUI."""
    return "folder_paths" in sys.modules


def host_module(name: str) -> Any:
    """A module of the host by its full name."""
    return importlib.import_module(name)
