"""A voice in the graph, encoded by the model's own voice encoder or by the host's."""

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from ..errors import InputError
from ..models.voice_encoder import SAMPLE_RATE_HZ, resample_features
from .graph_model import GraphModel
from .graph_published import published_rows
from .graph_tensors import voice_of_audio
from .graph_types import EncodedVoice
from .resampling import resample
from .talk import is_published
from .timeline import Timeline
from .voice import Voice
from .voice_encoding import encode_voice


class AudioEncoder(Protocol):
    """What is asked of the host's AUDIO_ENCODER."""

    def encode_audio(self, audio: Tensor, sample_rate: int) -> dict[str, Any]:
        """Waveform [1, 1, N] -> "encoded_audio_all_layers": [1, T, C] a layer, 50 a second."""
        ...


def encode_audio(
    model: GraphModel, audio: Mapping[str, Any], fps: float, audio_encoder: AudioEncoder | None
) -> EncodedVoice:
    """The host's AUDIO as a model hears it; an fps of 0 is the model's own.

    Raises:
        InputError: audio that cannot be used, a model without a voice encoder and none given, or one of
            another size than the model was trained with.
    """
    voice, config = voice_of_audio(audio), model.config
    timeline = Timeline(
        len(voice.samples),
        voice.sample_rate_hz,
        fps or config.defaults.fps,
        config.temporal.frames_per_clip,
    )
    if is_published(model):
        features = published_rows(model, voice, timeline, audio_encoder)
    elif audio_encoder is not None:
        features = _encoded_by_host(model, voice, timeline, audio_encoder)
    elif model.networks.voice_encoder is not None:
        features = encode_voice(model.networks, voice, timeline, model.bring("voice_encoder")).cpu()
    else:
        raise InputError(
            got=f"the model {model.path.name}, which has no voice encoder of its own",
            allowed="an audio encoder of its kind",
            do="load that encoder (Load Audio Encoder) and connect it",
        )
    return EncodedVoice(features, timeline, model.path)


def _encoded_by_host(
    model: GraphModel, voice: Voice, timeline: Timeline, audio_encoder: AudioEncoder
) -> Tensor:
    """Features [1, padded frames, D]: the outputs of the encoder's last blocks, as many as the model hears.

    The waveform is brought to zero mean and unit variance, as wav2vec 2.0 was trained; the host does not.
    """
    samples = resample(voice.samples, voice.sample_rate_hz, SAMPLE_RATE_HZ)
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
