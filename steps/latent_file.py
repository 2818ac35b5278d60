"""The latents of a whole video, or what is heard of its voice: in memory while it is little, else in a file
that is mapped into it.

A mapped tensor is one like any other, but of it the operating system holds only what is in use. Its file has
no name, or on Windows is deleted on closing: it is gone with the tensor, and with the process however that
ends.
"""

import mmap
import tempfile
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from .video_file import cannot_write

MOST_IN_MEMORY_BYTES = 2**24
"""More is kept in a file: latents of 40 s of the bundled model or 10 s at 512x512, 7 minutes of a voice."""


def gather_latents(clips: Iterable[Tensor], frame_count: int, folder: Path) -> Tensor:
    """The clips' latents [F, C, h, w], or features [F, D], in one tensor of all frames on the CPU.

    Args:
        clips: in order, on the CPU, all of one type; at least one.
        frame_count: frames of all clips.
        folder: that exists, on a disk with room for them.

    Raises:
        InputError: the file cannot be written.
    """
    remaining = iter(clips)
    first = next(remaining)
    clips = chain([first], remaining)
    frame_bytes = first[0].numel() * first.element_size()
    if frame_count * frame_bytes <= MOST_IN_MEMORY_BYTES:
        return torch.cat(list(clips))
    try:
        file = tempfile.TemporaryFile(dir=folder, prefix="emo-latents-", buffering=0)  # noqa: SIM115
    except OSError as error:
        raise cannot_write(folder, error) from error
    with file:
        for clip in clips:
            _append(file, clip, folder)
        return _mapped(file, folder, first.dtype).view(frame_count, *first.shape[1:])


def _append(file: IO[bytes], clip: Tensor, folder: Path) -> None:
    # By the file and not by the mapping: on a full disk that is an error, and this the end of the process.
    rest = clip.contiguous().view(torch.uint8).numpy().data.cast("B")
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        raise cannot_write(folder, error) from error


def _mapped(file: IO[bytes], folder: Path, dtype: torch.dtype) -> Tensor:
    """The file's content [N]; the tensor holds the mapping, which holds the file."""
    try:
        content = mmap.mmap(file.fileno(), 0)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return torch.frombuffer(content, dtype=dtype)
