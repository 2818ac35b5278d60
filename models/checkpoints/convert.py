"""A family's published files -> one safetensors file of this project, tensor by tensor."""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ...errors import InputError
from .assembly import Assembly
from .emo import FORMAT
from .families import describe
from .weight_source import require_one_precision

_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


def convert(
    assembly: Assembly,
    output: Path,
    dtype: torch.dtype | None = None,
    on_tensor: Callable[[int, int], object] = lambda done, total: None,
) -> None:
    """Write a model's tensors with its configuration; one tensor is held at a time.

    Args:
        assembly: from `find_assembly`.
        output: the file, which appears once it is whole.
        dtype: of the tensors; None: as stored.
        on_tensor: told of every tensor written, and of how many there are.

    Raises:
        InputError: a dtype that is none of float32, float16 and bfloat16.
        WeightsError: precisions are mixed in a file and no dtype is given.
    """
    if dtype is None:
        for source in assembly.sources:
            require_one_precision(source)
    header = _header(assembly, dtype)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    partial = output.with_name(output.name + ".part")
    try:
        with partial.open("wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for done, tensor in enumerate(assembly.tensors.values(), start=1):
                value = tensor.read().to(dtype or tensor.dtype).contiguous()
                file.write(value.view(torch.uint8).numpy().data)
                on_tensor(done, len(assembly.tensors))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)


def _header(assembly: Assembly, dtype: torch.dtype | None) -> dict[str, Any]:
    """The header of safetensors: where each tensor will lie."""
    metadata = {
        "format": FORMAT,
        "config": json.dumps(assembly.family.config.to_dict()),
        "training": json.dumps(describe(assembly)),
    }
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, tensor in assembly.tensors.items():
        stored = dtype or tensor.dtype
        if stored not in _NAMES:
            raise InputError(
                got=f"{name} as {str(stored).removeprefix('torch.')}",
                allowed="float32, float16 or bfloat16",
                do="give --dtype float16",
            )
        start, end = end, end + stored.itemsize * torch.Size(tensor.shape).numel()
        header[name] = {"dtype": _NAMES[stored], "shape": list(tensor.shape), "data_offsets": [start, end]}
    return header
