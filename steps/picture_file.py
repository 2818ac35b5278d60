"""One picture to a png file that says that it is synthetic, and back."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image, PngImagePlugin
from torch import Tensor

from ..errors import InputError
from .marking.marks import Marks
from .video_file import cannot_write
from .video_streams import frame_bytes
from .whole_file import whole_file

_MODES = ("RGB", "L", "P")


def write_picture(path: Path, picture: Tensor, texts: Mapping[str, str], marks: Marks) -> None:
    """Write a picture with its marks; it appears under its name when it is whole, or not at all.

    Args:
        path: the file, ending in .png; one that was there before is replaced.
        picture: [3, H, W], RGB in 0..1 (values beyond are cut).
        texts: plain text to store in the file, such as the workflow; it lies under the seal.
        marks: made for a picture of this size.

    Raises:
        InputError: another ending, credentials that cannot be signed, or a file that cannot be written.
    """
    check_picture_path(path)
    stored = PngImagePlugin.PngInfo()
    for name, text in {**texts, **marks.metadata}.items():
        stored.add_text(name, text)
    (pixels,) = frame_bytes(marks.into_frames(picture[None], 0, 1.0, marks.pen()))
    try:
        with whole_file(path) as part:
            Image.fromarray(pixels).save(part, format="PNG", pnginfo=stored)
            marks.into_file(part, path.name)
    except OSError as error:
        raise cannot_write(path, error) from error


def check_picture_path(path: Path) -> None:
    """Raise InputError unless a path ends in .png."""
    if path.suffix.lower() != ".png":
        raise InputError(
            got=f"picture {path}", allowed="a file name ending in .png", do=f"use {path.stem or 'out'}.png"
        )


def read_picture(path: Path) -> tuple[Tensor, dict[str, str]]:
    """The pixels [3, H, W] in 0..1 of a png file, and the texts that are stored in it.

    Raises:
        InputError: no whole png, or one with transparency or more than 8 bits a channel.
    """
    check_picture_path(path)
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            picture.load()
            mode, texts = picture.mode, dict(picture.text)  # type: ignore[attr-defined]
            opaque = mode in _MODES and "transparency" not in picture.info
            pixels = np.array(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(
            got=f"{path}, which cannot be read: {error}", allowed="a whole png file", do="save it again"
        ) from error
    if not opaque:
        raise InputError(
            got=f"{path}, a picture with transparency or of the kind {mode}",
            allowed="RGB or grey of 8 bits, without transparency",
            do="save the picture in that form",
        )
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255, texts
