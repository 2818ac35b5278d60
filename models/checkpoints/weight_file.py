"""Reading and writing files of weights: safetensors only, so nothing in a file is ever executed."""

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ...errors import WeightsError

_PICKLE_SUFFIXES = {".bin", ".ckpt", ".pkl", ".pt", ".pth"}


def read_weights(path: Path, wanted: str) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a safetensors file.

    Args:
        path: the file.
        wanted: what the caller looks for, in words, for the error.

    Raises:
        WeightsError: the file is missing, a folder, a pickle, truncated, or no safetensors file.
    """
    if not path.is_file():
        got = f"{path}, which is a folder" if path.is_dir() else f"{path}, which does not exist"
        raise WeightsError(got=got, allowed=f"a safetensors file with {wanted}", do="check the path")
    if path.suffix.lower() in _PICKLE_SUFFIXES:
        raise WeightsError(
            got=f"{path}, whose ending is that of a pickle, which could execute code",
            allowed=f"a safetensors file with {wanted}",
            do="convert the file to safetensors first",
        )
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            got=f"{path}, which cannot be read as safetensors ({error})",
            allowed=f"a whole safetensors file with {wanted}",
            do="fetch or copy the file again, it may be incomplete",
        ) from error


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, which tells models apart whatever their name.

    A process reads a file once, and again when it was written or exchanged since: its size, both its times
    and its place on the disk tell.
    """
    stat = path.stat()
    version = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return _sha256_of_version(path.absolute(), version)


@lru_cache(maxsize=64)
def _sha256_of_version(path: Path, version: tuple[int, ...]) -> str:
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def dataclass_settings(text: str) -> dict[str, Any]:
    """JSON of a flat dataclass's fields -> its arguments; lists are tuples again."""
    values = json.loads(text)
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def write_weights(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any], dtype: torch.dtype
) -> None:
    """Write tensors (floating ones as `dtype`) and metadata (as JSON texts) to a safetensors file."""
    stored = {
        name: (value.to(dtype) if value.is_floating_point() else value).detach().cpu().contiguous()
        for name, value in tensors.items()
    }
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in metadata.items()}
    save_file(stored, path, texts)
