"""What the tests of published families share: recorded tensors, and the families at the recordings' size.

The recordings are inputs, random weights and outputs of the families' own unmodified code at a small size.
Weights lie in float8, in which they were drawn, so that float32 loses nothing.
"""

from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from small_families import small_autoencoder, small_families, small_voice_encoder_config

from comfyui_emo.models.build import EmoNetworks
from comfyui_emo.models.checkpoints.assembly import Assembly, assemble
from comfyui_emo.models.checkpoints.families import fill_networks
from comfyui_emo.models.checkpoints.family import Family
from comfyui_emo.models.checkpoints.weight_source import open_weights
from comfyui_emo.models.spectrogram_encoder import SpectrogramEncoder, SpectrogramEncoderConfig
from comfyui_emo.models.voice_encoder import VoiceEncoder


def load_module(name: str) -> ModuleType:
    """A module of the pack by its name inside it."""
    return import_module(f"comfyui_emo.{name}")


FIXTURES = Path(__file__).resolve().parent / "fixtures"


def recorded(family: str, name: str) -> dict[str, torch.Tensor]:
    """The tensors of a recording, those stored in half precision as float32."""
    tensors = load_file(FIXTURES / family / f"{name}.safetensors")
    return {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}


def relative_error(value: torch.Tensor, wanted: torch.Tensor) -> float:
    assert value.shape == wanted.shape, (value.shape, wanted.shape)
    return float((value.float() - wanted.float()).norm() / wanted.float().norm())


SMALL = small_families(load_module)
SMALL_HALLO, SMALL_V_EXPRESS = SMALL["hallo"], SMALL["v-express"]
SMALL_ECHOMIMIC, SMALL_ECHOMIMIC_ACC = SMALL["echomimic"], SMALL["echomimic-acc"]
SMALL_ECHOMIMIC_POSE = SMALL["echomimic-pose"]


def small_assembly(family: Family) -> Assembly:
    """The recorded weights as files of a family; every version of a model has the same here."""
    folder = FIXTURES / family.name.removesuffix("-acc").removesuffix("-pose") / "weights"
    parts = []
    for file in family.layouts[0]:
        name = (
            file.name if "face_locator" in file.name else file.name.replace("_pose", "").replace("_acc", "")
        )
        if (folder / f"{name}.safetensors").exists():
            parts.append((file, open_weights(folder / f"{name}.safetensors")))
    return assemble(family, parts)


@cache
def small_networks(family: Family, half_precision: bool | None = None) -> EmoNetworks:
    """A family's networks with the recorded weights; optionally with other precision of the features."""
    if half_precision is not None:
        reference = replace(family.config.reference, half_precision=half_precision)
        family = replace(family, config=replace(family.config, reference=reference))
    return fill_networks(small_assembly(family), torch.float32)


SITES = tuple(
    [f"down_blocks.{level}.attentions.{index}" for level in range(3) for index in range(2)]
    + ["mid_block.attentions.0"]
    + [f"up_blocks.{level}.attentions.{index}" for level in range(1, 4) for index in range(3)]
)
"""Names of the places with attention, in the order of the walk."""


def frames_first(video: torch.Tensor) -> torch.Tensor:
    """[B, C, F, h, w], as the families order it, and [B, F, C, h, w], as here: either way."""
    return video.transpose(1, 2)


def overheard(scheduler: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Fills with the prediction that each step of a scheduler is told, and the latents that it gives."""
    told: list[tuple[torch.Tensor, torch.Tensor]] = []
    step = scheduler.step

    def listened(predicted, t, latents):
        result = step(predicted, t, latents)
        told.append((predicted, result.prev_sample))
        return result

    scheduler.step = listened
    return told


def write_published(folder: Path, family: Family, dtype: torch.dtype = torch.float16) -> None:
    """A family's files under their published names, of the recordings' weights, with all that they need."""
    folder.mkdir(parents=True, exist_ok=True)
    recordings = FIXTURES / family.name.removesuffix("-acc").removesuffix("-pose") / "weights"
    for file in family.layouts[0]:
        plain = file.name.removesuffix("_acc")
        if (recordings / f"{plain}.safetensors").exists():
            tensors = load_file(recordings / f"{plain}.safetensors")
            own = {name: value.to(dtype) for name, value in tensors.items()}
            torch.save(own, folder / f"{file.name}.pth")
            temporal = {name: value for name, value in own.items() if ".motion_modules." in name}
            if file.name == "denoising_unet" and temporal:  # as V-Express publishes them, a second time
                torch.save(temporal, folder / "motion_module.pth")
    write_external(folder, family)


def write_external(folder: Path, family: Family) -> None:
    """The autoencoder and the voice encoder of a family, random, in folders of their published names."""
    torch.manual_seed(0)
    (folder / "sd-vae-ft-mse").mkdir()
    vae = small_autoencoder(load_module).vae
    save_file(vae.state_dict(), folder / "sd-vae-ft-mse" / "diffusion_pytorch_model.safetensors")
    if family.config.audio.features == "spectrogram":
        encoder = SpectrogramEncoder(SpectrogramEncoderConfig(positions=50, layers=4))
        torch.save({"dims": {}, "model_state_dict": encoder.state_dict()}, folder / "whisper_tiny.pt")
        return
    (folder / "wav2vec2-base-960h").mkdir()
    heard = VoiceEncoder(small_voice_encoder_config(load_module)).state_dict()
    torch.save(heard, folder / "wav2vec2-base-960h" / "pytorch_model.bin")
