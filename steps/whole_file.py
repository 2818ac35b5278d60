"""Files that are whole or not there, whatever happens while they are written."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PART_PREFIX = ".part-"
"""Start of the name of a file that is being written; its ending stays, since libraries go by it."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path to write to, which is stored for good and gets the name `path` when the block ends well.

    After an exception it is removed. After a sudden end of the process it stays behind under its own name,
    which the next writer of `path` uses again.

    Raises:
        OSError: the file cannot be written.
    """
    part = path.with_name(PART_PREFIX + path.name)
    try:
        yield part
        _store(part)
        os.replace(part, path)
        _store(path.parent)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file in one go; a cut at any instant leaves the old one or the new one.

    Raises:
        OSError: the file cannot be written.
    """
    with whole_file(path) as part:
        part.write_bytes(content)


def _store(path: Path) -> None:
    """Wait until a file or a folder's list of files has reached the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows keeps its folders' lists safe itself, and cannot open a folder
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
