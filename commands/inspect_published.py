"""What `comfyui-emo inspect` says of published files, and of those that `comfyui-emo convert` made of them.

Names, shapes and types are read, no tensors: a file of 5 GB takes a moment and no memory.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import InputError, WeightsError
from ..models.build import EmoNetworks, build_networks
from ..models.checkpoints.assembly import Assembly, fits, require_shapes, shapes_of
from ..models.checkpoints.detect import seems_to_be
from ..models.checkpoints.emo import LoadedModel
from ..models.checkpoints.families import describe as record_of
from ..models.checkpoints.families import find_assembly, open_all
from ..models.checkpoints.family import Family, PublishedFile
from ..models.checkpoints.open_model import missing_files
from ..models.checkpoints.tables import KNOWN_NAMES
from ..models.checkpoints.weight_source import WeightSource, stored_values
from ..models.config import EmoConfig
from ..steps.model_card import describe_model

# So many parts of a tensor's name say in which block it is: "reference_net.down_blocks.0.attentions.1".
_BLOCK_DEPTH = 5

CONVERTED, PUBLISHED, PART = "converted", "published", "part of a published model"


def config_of(source: WeightSource) -> EmoConfig | None:
    """The configuration in a file of this project; None where it cannot be read."""
    try:
        return EmoConfig.from_dict(json.loads(source.metadata["config"]))
    except (KeyError, ValueError, InputError):
        return None


def describe_converted(source: WeightSource, config: EmoConfig) -> dict[str, Any]:
    """A file that `comfyui-emo convert` wrote.

    Raises:
        WeightsError: its tensors are not those of its configuration.
    """
    networks = build_networks(config, "meta")
    require_shapes(source, shapes_of(networks))
    record = json.loads(source.metadata.get("training", "{}"))
    return _described(CONVERTED, networks, source.path, [source], record, source.tensors)


def describe_published(path: Path, families: Sequence[Family]) -> dict[str, Any]:
    """A published file, or a folder of them.

    Raises:
        WeightsError: a file cannot be read, or none of the families has such files.
    """
    sources = open_all([path])
    try:
        assembly: Assembly = find_assembly(sources, families)
    except WeightsError:
        part_of = [] if path.is_dir() else list(_places(sources[0], families))
        if not part_of:
            raise
        return _described_part(sources[0], part_of)
    networks = build_networks(assembly.family.config, "meta")
    record = record_of(assembly)
    return _described(PUBLISHED, networks, path, assembly.sources, record, assembly.tensors)


def _described(
    kind: str,
    networks: EmoNetworks,
    path: Path,
    sources: Sequence[WeightSource],
    record: dict[str, Any],
    tensors: Iterable[str],
) -> dict[str, Any]:
    config = networks.config
    return {
        "file": str(path),
        "kind": kind,
        "size_bytes": sum(source.path.stat().st_size for source in sources),
        "family": record.get("family", config.name),
        "licence": record.get("licence", "not stated in the file"),
        "source": record.get("source", "not stated in the file"),
        "files": record.get("files", []),
        "summary": describe_model(LoadedModel(networks, path, record)),
        "needs": [asdict(file) for file in missing_files(networks).values()],
        "parameters": _parameters(networks, tensors),
        "stored_as": stored_values(sources),
        "defaults": asdict(config.defaults),
        "configuration": config.to_dict(),
    }


def _places(
    source: WeightSource, families: Sequence[Family]
) -> Iterable[tuple[Family, PublishedFile, list[str]]]:
    """The families that have such a file: which of theirs it is, and the names of the others."""
    stem = source.path.stem
    for family in families:
        expected = shapes_of(build_networks(family.config, "meta"))
        for layout in family.layouts:
            named = [file for file in layout if file.name == stem]
            for file in named if stem in KNOWN_NAMES else [file for file in layout if not file.by_name]:
                own = {family.own_name(file.part + name) for name in source.tensors}
                if fits(family, file, source, expected) and _whole_blocks(own, expected):
                    yield family, file, [other.name for other in layout if other is not file]
                    break


def _whole_blocks(own: set[str | None], expected: Iterable[str]) -> bool:
    """Whether some tensors are those of whole blocks: others' files may be such without an attention."""

    def block(name: str) -> tuple[str, ...]:
        return tuple(name.split(".")[:_BLOCK_DEPTH])

    touched = {block(name) for name in own if name is not None}
    return bool(touched) and all(name in own for name in expected if block(name) in touched)


def _described_part(
    source: WeightSource, places: Sequence[tuple[Family, PublishedFile, list[str]]]
) -> dict[str, Any]:
    family, file, _ = places[0]
    own = (family.own_name(file.part + name) for name in source.tensors)
    networks = build_networks(family.config, "meta")
    return {
        "file": str(source.path),
        "kind": PART,
        "size_bytes": source.path.stat().st_size,
        "seems_to_be": seems_to_be({name: tensor.shape for name, tensor in source.tensors.items()}),
        "part_of": [
            {
                "family": family.name,
                "title": family.title,
                "licence": family.licence,
                "source": family.source,
                "as": file.name,
                "with": others,
            }
            for family, file, others in places
        ],
        "parameters": _parameters(networks, [name for name in own if name is not None]),
        "stored_as": stored_values([source]),
    }


def _parameters(networks: EmoNetworks, tensors: Iterable[str]) -> dict[str, int]:
    """How many parameters of each network are there; what is stored and no parameter is left out."""
    sizes = {name: value.numel() for name, value in networks.named_parameters()}
    counts: Counter[str] = Counter()
    for name in tensors:
        if name in sizes:
            counts[name.split(".")[0]] += sizes[name]
    return {**counts, "total": counts.total()}
