"""Which version of this package runs."""

import re
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@cache
def pack_version() -> str:
    """The version of this package, installed by pip or run from its folder."""
    try:
        return version("comfyui-emo")
    except PackageNotFoundError:
        project = Path(__file__).resolve().parents[1] / "pyproject.toml"
        found = (
            re.search(r'^version = "(.+)"$', project.read_text("utf-8"), re.M) if project.is_file() else None
        )
        return found[1] if found else "unknown"
