"""A face embedding from a file: what a model with an identity projection may be told of whose face it is.

Hallo (arXiv 2406.08801) was trained with the 512 numbers that insightface's recognition network gives of the
portrait's face. That network has terms of its own and is not needed here; without an embedding the model
runs in its own "no face" case.
"""

import logging
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from ..errors import InputError
from ..models.config import EmoConfig

log = logging.getLogger(__name__)

# An embedding is a few kilobytes; a larger file is something else, and is not read.
_MAX_BYTES = 1_000_000
HOW_TO_GET_ONE = (
    "make one with the extra library insightface (`pip install insightface onnxruntime`): "
    'numpy.save("face.npy", FaceAnalysis("buffalo_l").get(picture)[0].embedding) after its prepare(ctx_id=0)'
)


def read_face_embedding(path: Path) -> Tensor:
    """The embedding [1, E] of a .npy or .safetensors file, float32; nothing in it is executed.

    The file holds one tensor [E] or [1, E]. How many numbers a model wants, `check_face_embedding` says.

    Raises:
        InputError: there is no such file, it is damaged, or it holds anything but such a tensor.
    """
    try:
        if path.suffix.lower() not in (".npy", ".safetensors"):
            raise _unusable(path, "whose ending is another one")
        if path.stat().st_size > _MAX_BYTES:
            raise _unusable(path, f"of {path.stat().st_size / 1e6:.1f} MB, too large for an embedding")
        embedding = _from_numpy(path) if path.suffix.lower() == ".npy" else _from_safetensors(path)
    except OSError as error:
        raise _unusable(path, f"which cannot be read: {error.strerror or error}") from error
    if embedding.ndim != 1 and (embedding.ndim != 2 or len(embedding) != 1):
        raise _unusable(path, f"with numbers of shape {list(embedding.shape)}")
    if not bool(embedding.isfinite().all()):
        raise _unusable(path, "with numbers that are not finite")
    embedding = embedding.reshape(1, -1)
    if abs(float(embedding.norm()) - 1) < 1e-2:
        log.warning(
            "%s has length 1, as insightface's `normed_embedding`: models are trained with `embedding`", path
        )
    return embedding


def check_face_embedding(embedding: Tensor | None, config: EmoConfig) -> None:
    """Whether a model can be told this; None, no known face, suits every model.

    Raises:
        InputError: the model has no identity projection, or one of another width.
    """
    if embedding is None:
        return
    width = None if config.context is None else config.context.embedding_width
    if width is None:
        raise InputError(
            got=f"a face embedding for {config.name}, which has no identity projection and would not use it",
            allowed="none for this model; Hallo takes one",
            do="leave it away, or choose a model that takes one",
        )
    if tuple(embedding.shape) != (1, width):
        raise InputError(
            got=f"a face embedding of shape {list(embedding.shape)} for {config.name}",
            allowed=f"[{width}] or [1, {width}], insightface's of one face, or none",
            do=HOW_TO_GET_ONE,
        )


def _from_numpy(path: Path) -> Tensor:
    try:
        with path.open("rb") as file:
            values = np.lib.format.read_array(file, allow_pickle=False)
        if values.dtype.kind not in "fiu":
            raise _unusable(path, f"with values of the type {values.dtype}")
        return torch.from_numpy(values.astype(np.float32))
    except (ValueError, EOFError) as error:
        raise _unusable(path, f"which is damaged or holds objects ({str(error).splitlines()[0]})") from error


def _from_safetensors(path: Path) -> Tensor:
    try:
        tensors = load(path.read_bytes())
    except SafetensorError as error:
        raise _unusable(path, f"which is damaged ({error})") from error
    if len(tensors) != 1:
        raise _unusable(path, f"with {len(tensors)} tensors")
    return next(iter(tensors.values())).float()


def _unusable(path: Path, why: str) -> InputError:
    return InputError(
        got=f"{path}, {why}, for a face embedding",
        allowed="a .npy or .safetensors file with the numbers of one face, [512] or [1, 512] for Hallo",
        do=HOW_TO_GET_ONE,
    )
