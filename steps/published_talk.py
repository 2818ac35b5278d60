"""Latents of a model of published weights: the way of the data from portrait and voice to its loop."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ..errors import InputError, WeightsError
from ..models.build import EmoNetworks
from ..models.checkpoints.emo import LoadedModel
from ..models.checkpoints.open_model import missing_files
from ..models.config import EmoConfig
from ..models.spectrogram_encoder import SpectrogramEncoder
from ..models.voice_encoder import VoiceEncoder
from .face_guide import FaceGuide
from .portrait import FittedPortrait
from .published_sampling import PublishedRun, generated_frame_count, portrait_of, sample_published
from .sampler_state import SamplerState, WindowedState
from .sampling import OnProgress
from .sampling_settings import SamplingSettings
from .timeline import Timeline
from .voice import VoiceSource
from .voice_encoding import encoder_samples
from .voice_memory import check_voice_fits
from .voice_rows import voice_rows
from .windows import Keep, keep_nothing


def require_voice_driven(config: EmoConfig) -> None:
    """Raises InputError: the model hears no voice."""
    if config.audio.features == "none":
        raise InputError(
            got=f"the model {config.name}, which hears no voice and is moved by drawn poses alone",
            allowed="a model that speaks: Hallo, EchoMimic, V-Express, or one of this project",
            do="choose another model; `comfyui-emo convert` and `inspect` know this one",
        )


def require_complete(model: LoadedModel, *parts: str) -> None:
    """Raises WeightsError: "autoencoder" or "voice_encoder", as far as named, has not been loaded."""
    missing = [file for part, file in missing_files(model.networks).items() if part in parts]
    if missing:
        raise WeightsError(
            got=f"{model.config.name} in {model.path} without "
            + " and ".join(f"{file.name} ({file.licence}) from {file.source}" for file in missing),
            allowed="these files beside the model's own",
            do=f"put them into {model.path if model.path.is_dir() else model.path.parent}",
        )


@torch.inference_mode()
def encode_rows(
    networks: EmoNetworks,
    voice: VoiceSource,
    timeline: Timeline,
    device: torch.device,
    encoder: VoiceEncoder | None = None,
) -> Tensor:
    """What every generated frame hears of a voice [1, N, rows, D], float32 on the device.

    encoder: on the device; None: the model's own.

    Raises:
        InputError: the device has not the memory for all of the voice.
    """
    heard: VoiceEncoder | SpectrogramEncoder = encoder or networks.voice_encoder  # type: ignore[assignment]
    check_voice_fits(heard, networks.config, timeline, device, networks.backbone.dtype)
    samples = encoder_samples(voice).to(device)
    count = generated_frame_count(networks.config, timeline)
    return voice_rows(heard, samples, count, timeline.fps, networks.config.audio)


def sample_talk(
    model: LoadedModel,
    fitted: FittedPortrait,
    voice: VoiceSource,
    timeline: Timeline,
    settings: SamplingSettings,
    device: torch.device,
    on_progress: OnProgress,
    identity: Tensor | None = None,
    guide: FaceGuide | None = None,
    state: SamplerState | WindowedState | None = None,
    keep: Keep = keep_nothing,
) -> Iterator[Tensor]:
    """Latents of clip after clip [1, F, C, h, w], scaled; the networks are on `device`.

    For `state` and `keep` see `sample_published`.

    Raises:
        WeightsError: the autoencoder or the voice encoder is missing.
        InputError: the model wants more than a voice, or the portrait or a setting does not suit it.
    """
    require_voice_driven(model.config)
    require_complete(model, "autoencoder", "voice_encoder")
    networks = model.networks
    coder = networks.autoencoder
    latents = coder.encode(fitted.pixels.to(device))  # type: ignore[union-attr]
    like = latents.new_empty(0, dtype=networks.backbone.dtype)
    portrait = portrait_of(fitted, latents, model.config, identity, guide).to(like)
    rows = encode_rows(networks, voice, timeline, device).to(like)
    run = PublishedRun(networks, coder, portrait, rows, timeline, settings, on_progress)  # type: ignore[arg-type]
    yield from sample_published(run, state, keep)
