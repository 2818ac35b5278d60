"""Published files of a family -> the networks' tensors, with every name accounted for."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from ...errors import WeightsError
from ..build import build_networks
from .detect import Shapes, seems_to_be
from .family import Family, PublishedFile
from .weight_source import StoredTensor, WeightSource


@dataclass(frozen=True)
class Assembly:
    """All tensors of a model, each still in its file.

    Attributes:
        family: whose.
        tensors: by their names in `EmoNetworks`.
        sources: the files they come from.
        unused: published names that the family's own code never uses.
    """

    family: Family
    tensors: dict[str, StoredTensor]
    sources: tuple[WeightSource, ...]
    unused: tuple[str, ...]


def expected_shapes(family: Family) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all tensors of a family's networks."""
    return shapes_of(build_networks(family.config, "meta"))


def shapes_of(networks: nn.Module) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a module's tensors."""
    return {name: tuple(value.shape) for name, value in networks.state_dict().items()}


def require_shapes(source: WeightSource, expected: Shapes) -> None:
    """Raises WeightsError unless a file of this project holds exactly the tensors of its configuration."""
    shapes = {name: tensor.shape for name, tensor in source.tensors.items()}
    if shapes != expected:
        raise WeightsError(
            got=f"{source.path}, {seems_to_be(shapes)} whose tensors do not fit its own configuration",
            allowed="a file as `comfyui-emo convert` writes it",
            do="convert the published files again",
        )


def fits(family: Family, file: PublishedFile, source: WeightSource, expected: Shapes) -> bool:
    """Whether every tensor of a source has a place in the family's networks if it is this file."""
    for name, tensor in source.tensors.items():
        own = family.own_name(file.part + name)
        if own is not None and expected.get(own) != tensor.shape:
            return False
    return True


def assemble(family: Family, parts: Iterable[tuple[PublishedFile, WeightSource]]) -> Assembly:
    """Put the files of a layout together, in the layout's order; what comes later wins.

    Raises:
        WeightsError: tensors are missing, left over or of another shape; all of them are told at once.
    """
    expected = expected_shapes(family)
    tensors: dict[str, StoredTensor] = {}
    unused, problems, sources = [], [], []
    for file, source in parts:
        sources.append(source)
        wrong = []
        for name, tensor in source.tensors.items():
            own = family.own_name(file.part + name)
            if own is None:
                unused.append(file.part + name)
            elif own not in expected:
                wrong.append(f"{name} has no place")
            elif expected[own] != tensor.shape:
                wrong.append(f"{name} is {list(tensor.shape)} instead of {list(expected[own])}")
            else:
                tensors[own] = tensor
        if wrong:
            kind = seems_to_be({name: tensor.shape for name, tensor in source.tensors.items()})
            problems.append(f"{source.path} as {file.name} seems to be {kind}: {_some(wrong)}")
    missing = expected.keys() - tensors.keys()
    if missing:
        problems.append(f"tensors are missing: {_some(sorted(missing))}")
    if problems:
        raise WeightsError(
            got="; ".join(problems),
            allowed=f"{family.title}'s files as published",
            do=f"fetch them from {family.source}",
        )
    return Assembly(family, tensors, tuple(sources), tuple(unused))


def _some(items: list[str]) -> str:
    more = f" and {len(items) - 3} more" if len(items) > 3 else ""
    return ", ".join(items[:3]) + more
