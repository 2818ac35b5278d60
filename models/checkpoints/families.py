"""Finds published files of a family in a folder, or among given files, and loads them."""

import logging
import math
from collections.abc import Callable, Collection, Iterable
from functools import cache
from pathlib import Path

import torch

from ...errors import WeightsError
from ..build import EmoNetworks, build_networks
from .assembly import Assembly, assemble, expected_shapes, fits
from .detect import seems_to_be
from .emo import LoadedModel
from .external_files import is_autoencoder, is_wav2vec2, is_whisper
from .family import PICTURE_AUTOENCODER, WAV2VEC2, WHISPER_TINY, Family, PublishedFile
from .tables import FAMILIES, KNOWN_NAMES
from .weight_source import WEIGHT_SUFFIXES, StoredTensor, WeightSource, open_weights, require_one_precision

log = logging.getLogger(__name__)

MakeRoom = Callable[[int], object]
"""Told how many bytes of memory weights will take, before they are read; may raise."""


def no_room_asked(_: int) -> None:
    """For those who do not ask."""


@cache
def _expected(family: Family) -> dict[str, tuple[int, ...]]:
    return expected_shapes(family)


def weight_files(folder: Path) -> list[Path]:
    """The files of weights in a folder and the folders in it."""
    found = [path for path in folder.rglob("*") if path.suffix.lower() in WEIGHT_SUFFIXES and path.is_file()]
    return sorted(path for path in found if len(path.relative_to(folder).parts) <= 3)


def load_family(
    paths: list[Path], family: Family | None = None, dtype: torch.dtype | None = None
) -> LoadedModel:
    """Load published files.

    Args:
        paths: a folder, or the files.
        family: which; None: the one that the files' tensors fit.
        dtype: of the networks; None: as stored (float32 where files differ).

    Raises:
        WeightsError: files are missing (all are listed with their source and licence), damaged, or something
            else.
    """
    assembly = find_assembly(open_all(paths), FAMILIES if family is None else (family,))
    for source in assembly.sources:
        require_one_precision(source)
    files = tuple(source.path for source in assembly.sources)
    return LoadedModel(fill_networks(assembly, dtype), files[0].parent, describe(assembly), files=files)


def describe(assembly: Assembly) -> dict[str, object]:
    """What is told about a model of published files."""
    family = assembly.family
    return {
        "family": family.name,
        "title": family.title,
        "licence": family.licence,
        "source": family.source,
        "files": [source.path.name for source in assembly.sources],
    }


def fill_networks(
    assembly: Assembly, dtype: torch.dtype | None = None, make_room: MakeRoom = no_room_asked
) -> EmoNetworks:
    """Networks in eval mode with an assembly's tensors, on the CPU, read one by one."""
    stored = {tensor.dtype for tensor in assembly.tensors.values() if tensor.dtype.is_floating_point}
    single = next(iter(stored)) if len(stored) == 1 else torch.float32
    chosen = dtype or (torch.float32 if single.itemsize == 1 else single)
    make_room(room_for(assembly.tensors.values(), chosen))
    networks = build_networks(assembly.family.config, "meta")
    tensors = {name: tensor.read().to(chosen) for name, tensor in assembly.tensors.items()}
    networks.load_state_dict(tensors, assign=True)
    return networks.eval().requires_grad_(False)


def room_for(tensors: Iterable[StoredTensor], dtype: torch.dtype | None) -> int:
    """Bytes that tensors will take in a type; those that keep theirs stay in the file, which is mapped."""
    changed = (tensor for tensor in tensors if dtype not in (None, tensor.dtype))
    return sum(math.prod(tensor.shape) for tensor in changed) * (0 if dtype is None else dtype.itemsize)


def open_all(paths: list[Path]) -> list[WeightSource]:
    """The files of weights among files and folders, opened.

    In a folder, what cannot be read is left aside unless it has the name of a published file: whole
    repositories hold much that no model here needs.

    Raises:
        WeightsError: there is none, or one cannot be read.
    """
    sources = [
        source
        for path in paths
        for source in (open_folder(path, KNOWN_NAMES) if path.is_dir() else [open_weights(path)])
    ]
    if not sources:
        raise WeightsError(
            got=f"{', '.join(str(path) for path in paths)} without a file of weights",
            allowed=f"files ending in {', '.join(WEIGHT_SUFFIXES)}",
            do="put the published files of a family there: " + "; ".join(_wants(f) for f in FAMILIES),
        )
    return sources


def open_folder(folder: Path, needed: Collection[str] = ()) -> list[WeightSource]:
    """The readable files of weights in a folder.

    Raises:
        WeightsError: a file of a needed name (without its ending) cannot be read.
    """
    found = []
    for path in weight_files(folder):
        try:
            found.append(open_weights(path))
        except WeightsError as error:
            if path.stem in needed:
                raise
            log.info("left aside: %s", error.got)
    return found


def _wants(family: Family) -> str:
    files = ", ".join(file.name for file in family.layouts[0])
    return f"{family.title} ({family.licence}): {files} from {family.source}"


def find_assembly(sources: list[WeightSource], families: Iterable[Family] = FAMILIES) -> Assembly:
    """The one family whose files are among the sources, put together.

    Raises:
        WeightsError: none is complete, or more than one is.
    """
    complete, nearest = [], []
    for family in families:
        for layout in family.layouts:
            parts, missing = _match(family, layout, sources)
            if parts and not missing:
                complete.append(assemble(family, parts))
            elif parts:
                nearest.append((len(missing) / len(layout), family, missing, parts))
    if len(complete) == 1:
        return complete[0]
    if complete:
        names = ", ".join(assembly.family.name for assembly in complete)
        raise WeightsError(
            got=f"the files of more than one model ({names})",
            allowed="those of one, or a choice",
            do="name it with --family, or give its files one by one",
        )
    raise _incomplete(nearest, sources)


def _match(
    family: Family, layout: tuple[PublishedFile, ...], sources: list[WeightSource]
) -> tuple[list[tuple[PublishedFile, WeightSource]], list[PublishedFile]]:
    """For each file of a layout the source that is it; and the files that are not there."""
    parts, missing = [], []
    provided: set[str | None] = set()
    for file in layout:
        found = [s for s in sources if s.path.stem == file.name and fits(family, file, s, _expected(family))]
        if not found and not file.by_name:
            unknown = [s for s in sources if s.path.stem not in KNOWN_NAMES]
            found = [s for s in unknown if fits(family, file, s, _expected(family))]
        if found:
            parts.append((file, found[0]))
            provided |= {family.own_name(file.part + name) for name in found[0].tensors}
        else:
            missing.append(file)
    if parts and not _expected(family).keys() - provided:
        return parts, []  # what is not there is in another file, too
    return parts, missing


def _incomplete(
    nearest: list[tuple[float, Family, list[PublishedFile], list[tuple[PublishedFile, WeightSource]]]],
    sources: list[WeightSource],
) -> WeightsError:
    kinds = "; ".join(
        f"{source.path.name} seems to be "
        + seems_to_be({name: tensor.shape for name, tensor in source.tensors.items()})
        for source in sources[:8]
    )
    if not nearest:
        return WeightsError(
            got=kinds,
            allowed="the published files of a family: " + "; ".join(_wants(family) for family in FAMILIES),
            do="put them into one folder of models/emo and choose that",
        )
    _, family, missing, parts = min(nearest, key=lambda entry: entry[0])
    present = ", ".join(source.path.name for _, source in parts)
    wanted = ", ".join(file.name for file in missing)
    return WeightsError(
        got=f"{family.title} with {present}, and without {wanted}. {kinds}",
        allowed=f"all of its files ({family.licence})",
        do=f"put {wanted} from {family.source} into {sources[0].path.parent}{_beside(family, sources)}",
    )


_TOLD_BY = {PICTURE_AUTOENCODER: is_autoencoder, WAV2VEC2: is_wav2vec2, WHISPER_TINY: is_whisper}


def _beside(family: Family, sources: list[WeightSource]) -> str:
    """What a family needs beside its own files, as far as it is not among the sources."""
    absent = [
        file
        for file in family.external
        if file not in _TOLD_BY or not any(_TOLD_BY[file](source) for source in sources)
    ]
    told = (f"{file.name} ({file.licence}) from {file.source} there or into {file.folder}" for file in absent)
    return "".join(f"; {words}" for words in told)
