"""Arrays out of files that `torch.save` wrote, NumPy's among them; nothing in such a file is executed.

V-Express keeps key points so: a list of one array a frame. What a file names besides plain containers is
looked up among the few names that arrays are made of, and refused otherwise.
"""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

_ARRAYS = {
    ("_codecs", "encode"),  # bytes, as protocol 2 of pickle writes them
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ARRAYS:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def read_torch_numbers(path: Path) -> np.ndarray:
    """The one array, or the arrays of one shape, of a file [..] or [N, ..].

    Raises:
        ValueError: it is damaged, or holds anything else.
        OSError: it cannot be read.
    """
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        held = _read_arrays(path, error)
    rows = held if isinstance(held, (list, tuple)) else [held]
    if not rows or not all(isinstance(row, (np.ndarray, torch.Tensor)) for row in rows):
        raise ValueError("no arrays, or other things beside them")
    arrays = [np.asarray(row) for row in rows]
    return np.stack(arrays) if isinstance(held, (list, tuple)) else arrays[0]


def _read_arrays(path: Path, first: Exception) -> Any:
    """What torch does not read by itself: NumPy's arrays in plain containers."""
    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            with archive.open(name) as stream:
                return _ArraysOnly(stream).load()
    except (zipfile.BadZipFile, ValueError) as error:
        raise ValueError(str(first).splitlines()[0]) from error
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, TypeError) as error:
        raise ValueError(str(error).splitlines()[0]) from error
