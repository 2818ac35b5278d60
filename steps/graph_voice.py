"""A voice in the graph, encoded by the model's own voice encoder or by the host's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from ..errors import InputError
from ..models.voice_encoder import SAMPLE_RATE_HZ, resample_features
from .graph_model import GraphModel
from .graph_published import published_rows
from .graph_sound import voice_of_audio
from .graph_types import EncodedVoice
from .latent_file import gather_latents
from .talk import is_published
from .timeline import Timeline
from .video_file import cannot_write
from .voice import VoiceSource
from .voice_encoding import VoiceStream, encoder_samples


class AudioEncoder(Protocol):
    """What is asked of the host's AUDIO_ENCODER."""

    def encode_audio(self, audio: Tensor, sample_rate: int) -> dict[str, Any]:
        """Waveform [1, 1, N] -> "encoded_audio_all_layers": [1, T, C] a layer, 50 a second."""
        ...


def encode_audio(
    model: GraphModel,
    audio: Mapping[str, Any],
    fps: float,
    audio_encoder: AudioEncoder | None,
    folder: Path,
) -> EncodedVoice:
    """The host's AUDIO as a model hears it; an fps of 0 is the model's own.

    What a model of this project hears of a long voice lies in a file in `folder`, see latent_file.py.

    Raises:
        InputError: audio that cannot be used, a model without a voice encoder and none given, one of another
            size than the model was trained with, or a file that cannot be written.
    """
    voice, config = voice_of_audio(audio), model.config
    timeline = Timeline(
        voice.sample_count,
        voice.sample_rate_hz,
        fps or config.defaults.fps,
        config.temporal.frames_per_clip,
    )
    if is_published(model):
        features = published_rows(model, voice, timeline, audio_encoder)
    elif audio_encoder is not None:
        features = _encoded_by_host(model, voice, timeline, audio_encoder)
    elif model.networks.voice_encoder is not None:
        features = _encoded_piece_by_piece(model, voice, timeline, folder)
    else:
        raise InputError(
            got=f"the model {model.path.name}, which has no voice encoder of its own",
            allowed="an audio encoder of its kind",
            do="load that encoder (Load Audio Encoder) and connect it",
        )
    return EncodedVoice(features, timeline, model.path)


def _encoded_piece_by_piece(
    model: GraphModel, voice: VoiceSource, timeline: Timeline, folder: Path
) -> Tensor:
    """Features [1, padded frames, D] by the model's own encoder, on the CPU."""
    encoder, device = model.networks.voice_encoder, model.bring("voice_encoder")
    stream = VoiceStream(encoder, voice, timeline, device)  # type: ignore[arg-type]
    parts = (part.cpu() for part in stream.parts())
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return gather_latents(parts, timeline.padded_frame_count, folder)[None]


def _encoded_by_host(
    model: GraphModel, voice: VoiceSource, timeline: Timeline, audio_encoder: AudioEncoder
) -> Tensor:
    """Features [1, padded frames, D]: the outputs of the encoder's last blocks, as many as the model hears.

    The waveform is brought to zero mean and unit variance, as wav2vec 2.0 was trained; the host does not.
    """
    samples = encoder_samples(voice)
    deviation, mean = torch.std_mean(samples, correction=0)
    normalised = (samples - mean) / (deviation + 1e-7)
    encoded = audio_encoder.encode_audio(normalised[None, None], SAMPLE_RATE_HZ)
    layers = encoded["encoded_audio_all_layers"]
    wanted, width = model.config.audio.feature_width, layers[0].shape[-1]
    blocks = wanted // width
    if wanted % width or blocks >= len(layers):
        raise InputError(
            got=f"an audio encoder with {len(layers) - 1} blocks of {width} channels",
            allowed=f"{wanted} channels in all, as {model.path.name} was trained with",
            do="load the audio encoder that the model names",
        )
    stacked = torch.stack([layer[0].float().cpu() for layer in layers[-blocks:]], dim=1)  # [T, L, C]
    return resample_features(stacked, timeline.padded_frame_count, float(timeline.fps)).flatten(1)[None]
