"""Records of what was marked, by the watermark's payload: what leads from bare pixels back to a manifest."""

import json
from pathlib import Path
from typing import Any

from .user_folder import keep_privately, user_folder


def records_folder() -> Path:
    """Where records are kept unless another folder is named."""
    return user_folder() / "records"


def keep_record(payload: int, record: dict[str, Any], manifest: bytes | None) -> Path:
    """Keep a record, and the signed manifest if there is one, under a payload; the last one counts.

    Raises:
        OSError: the user's folder cannot be written to.
    """
    path = records_folder() / f"{payload:08x}.json"
    keep_privately(path, json.dumps(record, indent=2, ensure_ascii=False).encode())
    if manifest is not None:
        keep_privately(path.with_suffix(".c2pa"), manifest)
    return path


def find_record(payload: int, folder: Path | None = None) -> dict[str, Any] | None:
    """The record under a payload; None if there is none that can be read."""
    try:
        record = json.loads(((folder or records_folder()) / f"{payload:08x}.json").read_bytes())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None
