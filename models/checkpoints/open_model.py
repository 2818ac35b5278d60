"""Opens whatever a user calls a model: a file of this project, or a family's published files."""

import json
from pathlib import Path

import torch

from ...errors import InputError, WeightsError
from ..build import EmoNetworks, build_networks
from ..config import EmoConfig
from .assembly import shapes_of
from .detect import seems_to_be
from .emo import FORMAT, LoadedModel, load_model
from .external_files import (
    autoencoder_from,
    is_autoencoder,
    is_wav2vec2,
    is_whisper,
    wav2vec2_from,
    whisper_from,
)
from .families import FAMILIES, describe, family_named, fill_networks, find_assembly, open_all, weight_files
from .weight_source import WeightSource, open_weights, require_one_precision


def open_model(path: Path, family: str | None = None, dtype: torch.dtype | None = None) -> LoadedModel:
    """Load a model with all that lies beside it.

    Args:
        path: a file written by this project, a published file that is complete by itself, or a folder of
            published files. Autoencoder and voice encoder are looked for in the same folder.
        family: short name of a family, where a folder holds more than one.
        dtype: of the networks; None: as stored.

    Raises:
        WeightsError: files are missing, damaged, or something else.
    """
    if path.is_file() and path.suffix.lower() == ".safetensors":
        source = open_weights(path)
        if source.metadata.get("format") == FORMAT:
            return _own_model(source, dtype)
    folder = path if path.is_dir() else path.parent
    sources = open_all([path])
    families = FAMILIES if family is None else (family_named(family),)
    assembly = find_assembly(sources, families)
    for used in assembly.sources:
        require_one_precision(used)
    model = LoadedModel(fill_networks(assembly, dtype), path, describe(assembly))
    attach_external(model.networks, sources if path.is_dir() else open_beside(folder))
    return model


def _own_model(source: WeightSource, dtype: torch.dtype | None) -> LoadedModel:
    try:
        config = EmoConfig.from_dict(json.loads(source.metadata["config"]))
    except (KeyError, ValueError, InputError):
        return load_model(source.path)  # which tells what is wrong with it
    if config.autoencoder is not None:
        return load_model(source.path)
    networks = build_networks(config, "meta")
    expected = shapes_of(networks)
    if expected != {name: tensor.shape for name, tensor in source.tensors.items()}:
        kind = seems_to_be({name: tensor.shape for name, tensor in source.tensors.items()})
        raise WeightsError(
            got=f"{source.path}, {kind} whose tensors do not fit its own configuration",
            allowed="a file as `comfyui-emo convert` writes it",
            do="convert the published files again",
        )
    read = ((name, tensor.read()) for name, tensor in source.tensors.items())
    networks.load_state_dict({name: value.to(dtype or value.dtype) for name, value in read}, assign=True)
    model = LoadedModel(
        networks.eval().requires_grad_(False), source.path, json.loads(source.metadata.get("training", "{}"))
    )
    attach_external(networks, open_beside(source.path.parent))
    return model


def open_beside(folder: Path) -> list[WeightSource]:
    """The readable files of weights in a folder; what cannot be read is not asked for here."""
    found = []
    for path in weight_files(folder):
        try:
            found.append(open_weights(path))
        except WeightsError:
            continue
    return found


def attach_external(networks: EmoNetworks, sources: list[WeightSource]) -> None:
    """Give networks the autoencoder and the voice encoder that lie among the sources, if they need them."""
    listens = networks.config.audio.features
    for source in sources:
        if networks.autoencoder is None and is_autoencoder(source):
            networks.autoencoder = autoencoder_from(source)
        if networks.voice_encoder is None and listens == "spectrogram" and is_whisper(source):
            networks.voice_encoder = whisper_from(source)
        if networks.voice_encoder is None and listens in ("interpolated", "doubled") and is_wav2vec2(source):
            networks.voice_encoder = wav2vec2_from(source)
