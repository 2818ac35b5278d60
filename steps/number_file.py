"""Numbers that a user gives in a file: .npy, .safetensors or torch's; nothing in it is executed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from ..errors import InputError
from .torch_numbers import read_torch_numbers

_SUFFIXES = (".npy", ".safetensors")
TORCH_SUFFIXES = (".pth", ".pt")


def is_number_file(given: str) -> bool:
    """Whether what a user gives is the name of such a file."""
    return Path(given).suffix.lower() in _SUFFIXES + TORCH_SUFFIXES


@dataclass(frozen=True)
class NumberFile:
    """What a file of numbers is for, in the words of its errors.

    Attributes:
        purpose: what the numbers are.
        allowed: what would be accepted.
        do: how to get it.
        max_bytes: a larger file is something else, and is not read.
        suffixes: endings of the files that are read.
    """

    purpose: str
    allowed: str
    do: str
    max_bytes: int
    suffixes: tuple[str, ...] = _SUFFIXES

    def read(self, path: Path) -> Tensor:
        """The numbers, float32 and finite.

        Raises:
            InputError: there is no such file, it is damaged, or it holds anything else.
        """
        try:
            suffix = path.suffix.lower()
            if suffix not in self.suffixes:
                raise self.unusable(path, "whose ending is another one")
            if path.stat().st_size > self.max_bytes:
                raise self.unusable(path, f"of {path.stat().st_size / 1e6:.1f} MB, too large for that")
            numbers = self._safetensors(path) if suffix == ".safetensors" else self._array(path, suffix)
        except OSError as error:
            raise self.unusable(path, f"which cannot be read: {error.strerror or error}") from error
        if not bool(numbers.isfinite().all()):
            raise self.unusable(path, "with numbers that are not finite")
        return numbers

    def unusable(self, path: Path, why: str) -> InputError:
        """The error that says what is wrong with a file."""
        return InputError(got=f"{path}, {why}, for {self.purpose}", allowed=self.allowed, do=self.do)

    def _array(self, path: Path, suffix: str) -> Tensor:
        try:
            values = read_torch_numbers(path) if suffix in TORCH_SUFFIXES else _read_npy(path)
        except (ValueError, EOFError) as error:
            why = f"which is damaged or holds objects ({str(error).splitlines()[0]})"
            raise self.unusable(path, why) from error
        if values.dtype.kind not in "fiu":
            raise self.unusable(path, f"with values of the type {values.dtype}")
        return torch.from_numpy(values.astype(np.float32))

    def _safetensors(self, path: Path) -> Tensor:
        try:
            tensors = load(path.read_bytes())
        except SafetensorError as error:
            raise self.unusable(path, f"which is damaged ({error})") from error
        if len(tensors) != 1:
            raise self.unusable(path, f"with {len(tensors)} tensors")
        return next(iter(tensors.values())).float()


def _read_npy(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        return np.lib.format.read_array(file, allow_pickle=False)
