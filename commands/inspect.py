"""`comfyui-emo inspect`: what is in a model's file."""

import argparse
import json
from pathlib import Path
from typing import Any

from ..errors import WeightsError
from ..models.build import parameter_count
from ..models.checkpoints.emo import BUNDLED_MODEL, FORMAT, load_model
from ..models.checkpoints.tables import FAMILIES, family_named
from ..models.checkpoints.weight_source import open_weights, stored_values
from .file_kind import kind_of_file, stated_format
from .inspect_published import PART, PUBLISHED, config_of, describe_converted, describe_published

OWN = "of this project"


def run(arguments: argparse.Namespace) -> str:
    """Describe a model as text or JSON.

    Raises:
        WeightsError: the file is missing, damaged, or no model that is known here.
    """
    description = describe(arguments.model or BUNDLED_MODEL, arguments.family)
    return json.dumps(description, indent=2) if arguments.json else _as_text(description)


def describe(path: Path, family: str | None = None) -> dict[str, Any]:
    """A model's file, or folder of published ones, as plain values; which these are, "kind" says.

    Always there are file, kind, size_bytes, parameters and stored_as. A model of this project has training
    and configuration beside; published files and what was converted of them family, licence, source, files,
    summary, needs, defaults and configuration; a part of a published model seems_to_be and part_of.

    Args:
        path: the file or folder.
        family: short name of a family, where a folder holds the files of several.

    Raises:
        WeightsError: as `run`.
    """
    families = FAMILIES if family is None else (family_named(family),)
    if path.is_dir() or (path.is_file() and path.suffix.lower() != ".safetensors"):
        return describe_published(path, families)
    if path.is_file() and stated_format(path) == FORMAT:
        source = open_weights(path)
        config = config_of(source)
        if config is not None and config.autoencoder is None:
            return describe_converted(source, config)
        return _describe_own(path)
    try:
        return describe_published(path, families)
    except WeightsError as error:
        got = f"{path}, which does not exist"
        if path.is_file():
            got = f"{path}, which seems to be {kind_of_file(path)}"
        raise WeightsError(
            got=got,
            allowed=f"an EMO model of this project (a safetensors file of the format {FORMAT!r}), or a file "
            "or folder that Hallo, EchoMimic, V-Express or Moore-AnimateAnyone publish",
            do="give such a one, or none to see the bundled model",
        ) from error


def _describe_own(path: Path) -> dict[str, Any]:
    model = load_model(path)
    counts = {name: parameter_count(part) for name, part in model.networks.named_children()}
    return {
        "file": str(path),
        "kind": OWN,
        "size_bytes": path.stat().st_size,
        "parameters": {**counts, "total": sum(counts.values())},
        "stored_as": stored_values([open_weights(path)]),
        "training": model.training,
        "configuration": model.config.to_dict(),
    }


def _as_text(description: dict[str, Any]) -> str:
    stored = ", ".join(f"{kind} ({count:,})" for kind, count in description["stored_as"].items())
    lines = [_headline(description), f"{description['size_bytes'] / 1e6:.2f} MB, values stored as {stored}"]
    if description["kind"] == PART:
        lines += ["", *(_place(entry) for entry in description["part_of"])]
    elif description["kind"] != OWN:
        lines += ["", description["summary"], f"published at {description['source']}"]
    for title in ("parameters", "training", "configuration"):
        if title in description:
            lines += ["", title, *_rows(description[title])]
    return "\n".join(lines)


def _headline(description: dict[str, Any]) -> str:
    kind, path = description["kind"], description["file"]
    if kind == OWN:
        return f"{description['configuration']['name']}, a model of this project: {path}"
    if kind == PART:
        return f"{description['seems_to_be']}: {path}"
    files = ", ".join(description["files"])
    how = f"as published ({files})" if kind == PUBLISHED else f"converted from {files}"
    return f"{description['family']}, {how}: {path}"


def _place(entry: dict[str, Any]) -> str:
    return (
        f"{entry['as']} of {entry['title']} ({entry['family']}), licence of the weights: {entry['licence']}; "
        f"with {', '.join(entry['with'])} from {entry['source']}"
    )


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
