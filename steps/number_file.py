"""Numbers that a user gives in a file: one tensor, .npy or .safetensors; nothing in it is executed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from ..errors import InputError

NUMBER_SUFFIXES = (".npy", ".safetensors")


def is_number_file(given: str) -> bool:
    """Whether what a user gives is the name of such a file."""
    return Path(given).suffix.lower() in NUMBER_SUFFIXES


@dataclass(frozen=True)
class NumberFile:
    """What a file of numbers is for, in the words of its errors.

    Attributes:
        purpose: what the numbers are.
        allowed: what would be accepted.
        do: how to get it.
        max_bytes: a larger file is something else, and is not read.
    """

    purpose: str
    allowed: str
    do: str
    max_bytes: int

    def read(self, path: Path) -> Tensor:
        """The numbers, float32 and finite.

        Raises:
            InputError: there is no such file, it is damaged, or it holds anything else.
        """
        try:
            if path.suffix.lower() not in NUMBER_SUFFIXES:
                raise self.unusable(path, "whose ending is another one")
            if path.stat().st_size > self.max_bytes:
                raise self.unusable(path, f"of {path.stat().st_size / 1e6:.1f} MB, too large for that")
            numbers = self._numpy(path) if path.suffix.lower() == ".npy" else self._safetensors(path)
        except OSError as error:
            raise self.unusable(path, f"which cannot be read: {error.strerror or error}") from error
        if not bool(numbers.isfinite().all()):
            raise self.unusable(path, "with numbers that are not finite")
        return numbers

    def unusable(self, path: Path, why: str) -> InputError:
        """The error that says what is wrong with a file."""
        return InputError(got=f"{path}, {why}, for {self.purpose}", allowed=self.allowed, do=self.do)

    def _numpy(self, path: Path) -> Tensor:
        try:
            with path.open("rb") as file:
                values = np.lib.format.read_array(file, allow_pickle=False)
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
