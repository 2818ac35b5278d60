"""This project's own file: all networks of a model, its configuration and its training record, in one file.

Tensor names start with the part's name in `EmoNetworks`: "reference_net.", "backbone.", "audio_projection.",
"autoencoder.", "voice_encoder.". The metadata holds "format", "config" and "training" as JSON.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import InputError, WeightsError
from ..autoencoder import Autoencoder
from ..autoencoder_config import AutoencoderConfig
from ..build import EmoNetworks, build_networks
from ..config import EmoConfig
from .weight_file import dataclass_settings, file_sha256, read_weights, write_weights

FORMAT = "comfyui-emo model 1"
AUTOENCODER_FORMAT = "comfyui-emo autoencoder 1"

BUNDLED_MODEL = Path(__file__).resolve().parent.parent / "weights" / "avatar-128.safetensors"


@dataclass(frozen=True)
class LoadedModel:
    """Networks in eval mode, where they came from and how they were trained.

    Attributes:
        networks: float32, on the CPU.
        path: the file, or the folder of published files.
        training: the training record of the file's metadata.
        files: all files that the tensors come from, those of autoencoder and voice encoder among them;
            empty: the one at `path`.
    """

    networks: EmoNetworks
    path: Path
    training: dict[str, Any]
    files: tuple[Path, ...] = field(default=(), kw_only=True)

    @property
    def config(self) -> EmoConfig:
        """The model's configuration."""
        return self.networks.config

    @property
    def sha256(self) -> str:
        """SHA-256 of the model's one file; of several, that of a list of their names and hashes."""
        if len(self.files) < 2:
            return file_sha256(*self.files or (self.path,))
        names = sorted(f"{file.name} {file_sha256(file)}" for file in self.files)
        return hashlib.sha256("\n".join(names).encode()).hexdigest()


def save_model(path: Path, networks: EmoNetworks, training: dict[str, Any]) -> None:
    """Write a model as float16 with its configuration and training record."""
    metadata = {"format": FORMAT, "config": networks.config.to_dict(), "training": training}
    write_weights(path, networks.state_dict(), metadata, torch.float16)


def load_model(path: Path = BUNDLED_MODEL) -> LoadedModel:
    """Read a model written by `save_model`; without a path, the bundled one.

    Raises:
        WeightsError: the file is missing, truncated, a pickle, of another architecture, or does not fit its
            own configuration.
    """
    metadata, tensors = read_weights(path, "an EMO model")
    _require_format(path, metadata, tensors, FORMAT, "an EMO model of this project")
    try:
        config = EmoConfig.from_dict(json.loads(metadata["config"]))
    except (KeyError, ValueError, InputError) as error:
        raise WeightsError(
            got=f"{path}, whose configuration cannot be read ({error})",
            allowed="a file written by this version of the pack or an earlier one",
            do="update the pack, or fetch the file again",
        ) from error
    networks = build_networks(config)
    _fill(path, networks, tensors)
    return LoadedModel(networks.eval(), path, json.loads(metadata.get("training", "{}")))


def save_autoencoder(path: Path, autoencoder: Autoencoder, training: dict[str, Any]) -> None:
    """Write an autoencoder alone, float32, for the trainings that stand on it."""
    metadata = {"format": AUTOENCODER_FORMAT, "config": asdict(autoencoder.config), "training": training}
    write_weights(path, autoencoder.state_dict(), metadata, torch.float32)


def load_autoencoder(path: Path) -> Autoencoder:
    """Read an autoencoder written by `save_autoencoder`, in eval mode.

    Raises:
        WeightsError: as `load_model`.
    """
    metadata, tensors = read_weights(path, "an autoencoder")
    _require_format(path, metadata, tensors, AUTOENCODER_FORMAT, "an autoencoder of this project")
    autoencoder = Autoencoder(AutoencoderConfig(**dataclass_settings(metadata["config"])))
    _fill(path, autoencoder, tensors)
    return autoencoder.eval()


def _require_format(
    path: Path, metadata: dict[str, str], tensors: dict[str, Tensor], wanted: str, words: str
):
    if metadata.get("format") == wanted:
        return
    first = ", ".join(sorted(tensors)[:3])
    raise WeightsError(
        got=f"{path} with {len(tensors)} tensors ({first}, ...) and format {metadata.get('format')!r}",
        allowed=f"{words} (format {wanted!r})",
        do="give a file of that kind, or leave the model away to use the bundled one",
    )


def _fill(path: Path, module: torch.nn.Module, tensors: dict[str, Tensor]) -> None:
    """Strictly load tensors, any float dtype, into a float32 module."""
    expected = module.state_dict()
    missing, unknown = expected.keys() - tensors.keys(), tensors.keys() - expected.keys()
    misshapen = [
        f"{name} {list(tensors[name].shape)} instead of {list(value.shape)}"
        for name, value in expected.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    if missing or unknown or misshapen:
        raise WeightsError(
            got=f"{path} with missing tensors {sorted(missing)[:5]}, unknown tensors {sorted(unknown)[:5]} "
            f"and tensors of another shape {misshapen[:5]}",
            allowed="exactly the tensors that its configuration describes",
            do="fetch the file again, or update the pack",
        )
    module.load_state_dict(tensors)
