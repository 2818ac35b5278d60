"""Opens files of weights of any common format; executes nothing and reads no tensors yet.

safetensors is read by its header; torch's own files by `torch.load(weights_only=True)`, memory-mapped, so
that a file of 5 GB costs address space and no memory until a tensor is used.
"""

import math
import pickle
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ...errors import WeightsError

WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
_CONTAINERS = ("state_dict", "model_state_dict", "module")
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "I64": torch.int64,
    "I32": torch.int32,
}


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that lies in a file: its shape and dtype now, its values when `read` is called."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], Tensor]


@dataclass(frozen=True)
class WeightSource:
    """A file of weights.

    Attributes:
        path: the file.
        tensors: by the names that the file gives them.
        metadata: texts of a safetensors file.
    """

    path: Path
    tensors: dict[str, StoredTensor]
    metadata: dict[str, str]


def open_weights(path: Path) -> WeightSource:
    """Open a file of weights; only names, shapes and dtypes are read.

    Raises:
        WeightsError: the file is missing, incomplete, holds code or objects other than tensors, or mixes
            float16 and float32.
    """
    if not path.is_file():
        raise WeightsError(
            got=f"{path}, which {'is a folder' if path.is_dir() else 'does not exist'}",
            allowed=f"a file ending in {', '.join(WEIGHT_SUFFIXES)}",
            do="check the path",
        )
    if path.suffix.lower() == ".safetensors":
        return _open_safetensors(path)
    return WeightSource(path, _stored(path, _load_torch_file(path)), {})


def stored_values(sources: Iterable[WeightSource]) -> dict[str, int]:
    """How many values files hold of each type, most first, by safetensors' names of the types."""
    values: Counter[str] = Counter()
    names = {dtype: name for name, dtype in _DTYPES.items()}
    for source in sources:
        for tensor in source.tensors.values():
            values[names.get(tensor.dtype, str(tensor.dtype))] += math.prod(tensor.shape)
    return dict(values.most_common())


def require_one_precision(source: WeightSource) -> None:
    """Raises WeightsError if a file holds float16 and float32 tensors side by side."""
    counts = Counter(str(tensor.dtype).removeprefix("torch.") for tensor in source.tensors.values())
    found = {name: count for name, count in counts.items() if "float" in name and "float8" not in name}
    if len(found) > 1:
        listed = " and ".join(f"{count} {name}" for name, count in sorted(found.items()))
        raise WeightsError(
            got=f"{source.path} with {listed} tensors side by side, a half-converted file",
            allowed="tensors of one precision",
            do="fetch the published file again, or make it one precision with "
            "`comfyui-emo convert --dtype float16`",
        )


def _open_safetensors(path: Path) -> WeightSource:
    try:
        # Stays open, as a mapping, for as long as one of its tensors may be read.
        file: Any = safe_open(path, framework="pt")
        tensors = {
            name: StoredTensor(
                tuple(file.get_slice(name).get_shape()),
                _DTYPES.get(file.get_slice(name).get_dtype(), torch.float32),
                lambda name=name: file.get_tensor(name),
            )
            for name in file.keys()
        }
        return WeightSource(path, tensors, file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise _incomplete(path, error) from error


def _load_torch_file(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            is_zip = file.read(4) == b"PK\x03\x04"  # files from before torch 1.6 are none and can't be mapped
        return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            got=f"{path}, which is damaged or holds Python objects besides tensors; they were not executed "
            f"({str(error).splitlines()[0]})",
            allowed="a file of tensors alone",
            do="fetch the published file again, or use a safetensors file",
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise _incomplete(path, error) from error


def _incomplete(path: Path, error: Exception) -> WeightsError:
    return WeightsError(
        got=f"{path} ({path.stat().st_size / 1e6:.1f} MB), which breaks off or is no file of weights "
        f"({str(error).splitlines()[0]})",
        allowed="a whole file of weights",
        do="fetch or copy the file again, it may be half-downloaded",
    )


def _stored(path: Path, loaded: Any) -> dict[str, StoredTensor]:
    """The tensors of what `torch.load` gave, out of the containers that trainers put around them."""
    for container in _CONTAINERS:
        if isinstance(loaded, dict) and isinstance(loaded.get(container), dict):
            loaded = loaded[container]
    tensors = {}
    if isinstance(loaded, dict):
        tensors = {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(
            got=f"{path}, which holds no named tensors",
            allowed="a file of weights",
            do="give the file that the family publishes",
        )
    if all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): value for name, value in tensors.items()}
    return {
        name: StoredTensor(tuple(value.shape), value.dtype, lambda value=value: value)
        for name, value in tensors.items()
    }
