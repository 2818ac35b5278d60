"""A face embedding from a file: what a model with an identity projection may be told of whose face it is.

Hallo (arXiv 2406.08801) was trained with the 512 numbers that insightface's recognition network gives of the
portrait's face. That network has terms of its own and is not needed here; without an embedding the model
runs in its own "no face" case.
"""

import logging
from pathlib import Path

from torch import Tensor

from ..errors import InputError
from ..models.config import EmoConfig
from .number_file import NumberFile

log = logging.getLogger(__name__)

HOW_TO_GET_ONE = (
    "make one with the extra library insightface (`pip install insightface onnxruntime`): "
    'numpy.save("face.npy", FaceAnalysis("buffalo_l").get(picture)[0].embedding) after its prepare(ctx_id=0)'
)
_FILE = NumberFile(
    purpose="a face embedding",
    allowed="a .npy or .safetensors file with the numbers of one face, [512] or [1, 512] for Hallo",
    do=HOW_TO_GET_ONE,
    max_bytes=1_000_000,
)


def read_face_embedding(path: Path) -> Tensor:
    """The embedding [1, E] of a .npy or .safetensors file, float32; nothing in it is executed.

    The file holds one tensor [E] or [1, E]. How many numbers a model wants, `check_face_embedding` says.

    Raises:
        InputError: there is no such file, it is damaged, or it holds anything but such a tensor.
    """
    embedding = _FILE.read(path)
    if embedding.ndim != 1 and (embedding.ndim != 2 or len(embedding) != 1):
        raise _FILE.unusable(path, f"with numbers of shape {list(embedding.shape)}")
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
