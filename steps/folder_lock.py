"""One run at a time in a folder, held by the operating system, which lets go when the process ends."""

import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

from ..errors import InputError

log = logging.getLogger(__name__)

LOCK_NAME = "emo-run.lock"


class FolderLock:
    """The lock of one folder, as a file in it."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._file: IO[bytes] | None = None

    def take(self) -> None:
        """Take the lock.

        Raises:
            InputError: another run has it.
            OSError: the folder cannot be written.
        """
        self._file = (self._folder / LOCK_NAME).open("wb")
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(self._file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # the second on Windows
            raise InputError(
                got=f"work folder {self._folder}, which another run is using",
                allowed="one run in a work folder at a time",
                do="wait until that run is done, or choose another work folder",
            ) from None
        except OSError as error:
            log.info("%s cannot be locked (%s): do not run this twice at once", self._folder, error.strerror)

    def release(self) -> None:
        """Let go; nothing happens if it is not held."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def remove(self) -> None:
        """Let go, and remove the lock's file."""
        self.release()
        with suppress(OSError):
            (self._folder / LOCK_NAME).unlink(missing_ok=True)
