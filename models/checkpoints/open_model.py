"""Opens whatever a user calls a model: a file of this project, or a family's published files."""

import json
import logging
import re
from collections.abc import Iterable
from pathlib import Path

import torch

from ...errors import InputError, WeightsError
from ..build import EmoNetworks, build_networks
from ..config import EmoConfig
from .assembly import require_shapes, shapes_of
from .emo import FORMAT, LoadedModel, load_model
from .external_files import (
    autoencoder_from,
    is_autoencoder,
    is_wav2vec2,
    is_whisper,
    wav2vec2_from,
    whisper_from,
)
from .families import (
    MakeRoom,
    describe,
    fill_networks,
    find_assembly,
    no_room_asked,
    open_all,
    open_folder,
    room_for,
    weight_files,
)
from .family import PICTURE_AUTOENCODER, ExternalFile, voice_encoder_file
from .tables import FAMILIES, family_named
from .weight_source import WeightSource, open_weights, require_one_precision

log = logging.getLogger(__name__)


def open_model(
    path: Path,
    family: str | None = None,
    dtype: torch.dtype | None = None,
    shared: Iterable[Path] = (),
    make_room: MakeRoom = no_room_asked,
) -> LoadedModel:
    """Load a model with all that lies beside it.

    Args:
        path: a file written by this project, a published file that is complete by itself, or a folder of
            published files. Autoencoder and voice encoder are looked for in the same folder.
        family: short name of a family, where a folder holds more than one.
        dtype: of the networks; None: as stored.
        shared: folders where autoencoder and voice encoder may lie, too, under their published names.
        make_room: told what published files will take, before they are read; what it raises is raised.

    Raises:
        WeightsError: files are missing, damaged, or something else.
    """
    if path.is_file() and path.suffix.lower() == ".safetensors":
        source = open_weights(path)
        if source.metadata.get("format") == FORMAT:
            return _own_model(source, dtype, shared, make_room)
    sources = open_all([path])
    families = FAMILIES if family is None else (family_named(family),)
    assembly = find_assembly(sources, families)
    for used in assembly.sources:
        require_one_precision(used)
    networks = fill_networks(assembly, dtype, make_room)
    beside = attach_external(networks, sources if path.is_dir() else open_folder(path.parent), shared)
    files = (*(source.path for source in assembly.sources), *beside)
    return LoadedModel(networks, path, describe(assembly), files=files)


def _own_model(
    source: WeightSource, dtype: torch.dtype | None, shared: Iterable[Path], make_room: MakeRoom
) -> LoadedModel:
    try:
        config = EmoConfig.from_dict(json.loads(source.metadata["config"]))
    except (KeyError, ValueError, InputError):
        return load_model(source.path)  # which tells what is wrong with it
    if config.autoencoder is not None:
        return load_model(source.path)
    networks = build_networks(config, "meta")
    require_shapes(source, shapes_of(networks))
    make_room(room_for(source.tensors.values(), dtype))
    read = ((name, tensor.read()) for name, tensor in source.tensors.items())
    networks.load_state_dict({name: value.to(dtype or value.dtype) for name, value in read}, assign=True)
    files = (source.path, *attach_external(networks, open_folder(source.path.parent), shared))
    training = json.loads(source.metadata.get("training", "{}"))
    return LoadedModel(networks.eval().requires_grad_(False), source.path, training, files=files)


def attach_external(
    networks: EmoNetworks, own: Iterable[WeightSource], shared: Iterable[Path] = ()
) -> list[Path]:
    """Give networks the autoencoder and the voice encoder that they lack, where there are any.

    Args:
        networks: to be completed.
        own: files that lie with the model: one of the right form is taken, whatever its name; but before
            others one of the right name, because whole repositories hold other models' autoencoders, too.
        shared: folders of files of many models, of which one is taken that has the right name, too.

    Returns:
        The files that were taken.
    """
    wanted = [file.path for file in missing_files(networks).values()]
    ranked = sorted(own, key=lambda source: not _is_named(source.path.as_posix(), wanted))
    taken = [source.path for source in ranked if _attach(networks, source)]
    for file in missing_files(networks).values():
        for folder in shared:
            for path in weight_files(folder):
                if _is_named(path.relative_to(folder).as_posix(), [file.path]):
                    taken += [path] if _attach(networks, open_weights(path)) else []
    return taken


def _is_named(path: str, patterns: list[str]) -> bool:
    return any(re.search(pattern, path, re.IGNORECASE) for pattern in patterns)


def _attach(networks: EmoNetworks, source: WeightSource) -> bool:
    """Whether a file is taken for a part that is still missing."""
    listens, before = networks.config.audio.features, missing_files(networks)
    try:
        if networks.autoencoder is None and is_autoencoder(source):
            networks.autoencoder = autoencoder_from(source)
        if networks.voice_encoder is None and listens == "spectrogram" and is_whisper(source):
            networks.voice_encoder = whisper_from(source)
        if networks.voice_encoder is None and listens in ("interpolated", "doubled") and is_wav2vec2(source):
            networks.voice_encoder = wav2vec2_from(source)
    except WeightsError as error:
        log.info("left aside: %s", error.got)
    return missing_files(networks) != before


def missing_files(networks: EmoNetworks) -> dict[str, ExternalFile]:
    """What a model still needs beside its own weights: published files by the part that they are."""
    parts = {"autoencoder": PICTURE_AUTOENCODER}
    if networks.config.audio.features != "none":
        parts["voice_encoder"] = voice_encoder_file(networks.config)
    return {name: file for name, file in parts.items() if getattr(networks, name) is None}
