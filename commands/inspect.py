"""`comfyui-emo inspect`: what is in a model's file."""

import argparse
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

from safetensors import safe_open

from ..errors import WeightsError
from ..models.build import parameter_count
from ..models.checkpoints.emo import BUNDLED_MODEL, FORMAT, load_model
from .file_kind import kind_of_file, stated_format


def run(arguments: argparse.Namespace) -> str:
    """Describe a model as text or JSON.

    Raises:
        WeightsError: the file is missing, damaged, or no EMO model of this project.
    """
    description = describe(arguments.model or BUNDLED_MODEL)
    return json.dumps(description, indent=2) if arguments.json else _as_text(description)


def describe(path: Path) -> dict[str, Any]:
    """A model's file as plain values: file, size_bytes, parameters, stored_as, training, configuration.

    Raises:
        WeightsError: as `run`.
    """
    try:
        model = load_model(path)
    except WeightsError as error:
        if not path.is_file() or stated_format(path) == FORMAT:
            raise
        raise WeightsError(
            got=f"{path}, which seems to be {kind_of_file(path)}",
            allowed=f"an EMO model of this project: a safetensors file of the format {FORMAT!r}",
            do="give the file of such a model, or none to see the bundled one",
        ) from error
    counts = {name: parameter_count(part) for name, part in model.networks.named_children()}
    return {
        "file": str(path),
        "size_bytes": path.stat().st_size,
        "parameters": {**counts, "total": sum(counts.values())},
        "stored_as": _stored_values(path),
        "training": model.training,
        "configuration": model.config.to_dict(),
    }


def _stored_values(path: Path) -> dict[str, int]:
    """How many values the file holds of each type, by safetensors' names of them."""
    values: Counter[str] = Counter()
    with safe_open(path, framework="pt") as file:
        for name in file.keys():
            tensor = file.get_slice(name)
            values[tensor.get_dtype()] += math.prod(tensor.get_shape())
    return dict(values.most_common())


def _as_text(description: dict[str, Any]) -> str:
    lines = [
        f"{description['configuration']['name']}, a model of this project: {description['file']}",
        f"{description['size_bytes'] / 1e6:.2f} MB, values stored as "
        + ", ".join(f"{kind} ({count:,})" for kind, count in description["stored_as"].items()),
    ]
    for title in ("parameters", "training", "configuration"):
        lines += ["", title, *_rows(description[title])]
    return "\n".join(lines)


def _rows(values: dict[str, Any]) -> list[str]:
    """One aligned line for each value, those of inner dictionaries under dotted names."""
    flat = _flattened(values)
    width = max(map(len, flat), default=0)
    return [f"  {name:<{width}}  {_written(value)}" for name, value in flat.items()]


def _flattened(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flattened(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def _written(value: Any) -> str:
    return f"{value:,}" if type(value) is int else str(value)
