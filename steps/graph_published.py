"""Models of published weights in the graph: what is asked of the host, and their sampling loops."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from ..errors import InputError
from ..models.checkpoints.external_files import wav2vec2_from
from ..models.checkpoints.family import WHISPER_TINY
from ..models.checkpoints.weight_source import StoredTensor, WeightSource
from ..models.voice_encoder import VoiceEncoder
from .graph_model import GraphModel
from .graph_tensors import frames_of_images, images_of_frames
from .latent_file import gather_latents
from .published_memory import require_room_to_sample, room_to_sample
from .published_sampling import (
    PictureCoder,
    PublishedPortrait,
    PublishedRun,
    first_state,
    sample_published,
)
from .published_talk import encode_rows, require_complete
from .resume import RunFolder
from .sampler_state import SamplerState, WindowedState
from .sampling import OnProgress
from .sampling_settings import SamplingSettings
from .timeline import Timeline
from .voice import VoiceSource


class HostVae(Protocol):
    """What is asked of the host's VAE."""

    def encode(self, pixels: Tensor) -> Tensor:
        """IMAGE [B, H, W, 3] -> latents [B, C, h, w]."""
        ...

    def decode(self, samples: Tensor) -> Tensor:
        """Latents [B, C, h, w] -> IMAGE [B, H, W, 3]."""
        ...


@dataclass(frozen=True, eq=False)
class HostCoder:
    """The host's VAE in the middle of a run; what it may have pushed off the device is brought back."""

    vae: HostVae
    bring: Callable[[], torch.device]

    def encode(self, pixels: Tensor) -> Tensor:
        """Pixels [B, 3, H, W] in 0..1 -> latents."""
        latents = self.vae.encode(images_of_frames(pixels)).float()
        return latents.to(self.bring())

    def decode(self, latents: Tensor) -> Tensor:
        """Latents -> pixels [B, 3, H, W]."""
        pixels = frames_of_images(self.vae.decode(latents.cpu())).float()
        return pixels.to(self.bring())


def published_latents(
    model: GraphModel,
    portrait: PublishedPortrait,
    vae: HostVae | None,
    rows: Tensor,
    timeline: Timeline,
    settings: SamplingSettings,
    on_progress: OnProgress,
    folder: RunFolder,
) -> Tensor:
    """The latents of all frames [F, C, h, w] on the CPU, in the autoencoder's scale.

    vae: the host's, for a model without an autoencoder of its own.
    folder: keeps clips, or steps, and gives those that it kept before.

    Raises:
        InputError: the device has not the memory beside the weights.
    """
    networks = model.networks
    room = room_to_sample(networks, rows, settings.voice_guidance != 1)

    def bring() -> torch.device:
        """All networks to the device, with room beside them for a clip or window."""
        return model.bring(*(name for name, _ in networks.named_children()), memory_bytes=room)

    coder: PictureCoder = networks.autoencoder if vae is None else HostCoder(vae, bring)  # type: ignore[assignment]

    def start() -> SamplerState | WindowedState:
        return first_state(model.config, portrait.latents.shape[1:], settings.seed)

    def sample(state: SamplerState | WindowedState) -> Iterator[Tensor]:
        device = bring()
        require_room_to_sample(room, device, model.config)
        like = torch.empty(0, device=device, dtype=networks.backbone.dtype)
        run = PublishedRun(networks, coder, portrait.to(like), rows.to(like), timeline, settings, on_progress)
        return sample_published(run, state, folder.save_steps)

    scale = model.config.latent_scale
    with folder:
        clips = (clip[0].float().cpu() / scale for clip in folder.clips(start, sample))
        return gather_latents(clips, timeline.frame_count, folder.path.parent)


def published_rows(
    model: GraphModel, voice: VoiceSource, timeline: Timeline, audio_encoder: Any | None
) -> Tensor:
    """What frames hear of a voice [1, N, rows, D] on the CPU.

    audio_encoder: the host's wav2vec 2.0, whose weights are taken; None: the model's own voice encoder.

    Raises:
        WeightsError: an audio encoder of another kind, or the model has none and none is given.
        InputError: an audio encoder for a model that hears through another kind than the host has.
    """
    if audio_encoder is None:
        require_complete(model, "voice_encoder")
        return encode_rows(model.networks, voice, timeline, model.bring("voice_encoder")).cpu()
    if model.config.audio.features == "spectrogram":
        raise InputError(
            got=f"an audio encoder of ComfyUI for {model.config.name}, which hears through whisper-tiny",
            allowed="whisper-tiny's own file (whisper_tiny.pt, or whisper-tiny/model.safetensors): ComfyUI "
            "loads wav2vec 2.0 and whisper-large-v3 only",
            do=f"put it beside the model or into models/audio_encoders ({WHISPER_TINY.source}, "
            f"{WHISPER_TINY.licence}), and leave audio_encoder unconnected",
        )
    encoder = _encoder_of_host(audio_encoder.get_sd())
    return encode_rows(model.networks, voice, timeline, torch.device("cpu"), encoder)


def _encoder_of_host(weights: Mapping[str, Tensor]) -> VoiceEncoder:
    stored = {
        name: StoredTensor(tuple(value.shape), value.dtype, lambda value=value: value.cpu())
        for name, value in weights.items()
    }
    return wav2vec2_from(WeightSource(Path("the audio encoder"), stored, {}))
