"""A voice -> the features that every frame of the video hears."""

import torch
from torch import Tensor

from ..errors import InputError
from ..models.build import EmoNetworks
from ..models.voice_encoder import SAMPLE_RATE_HZ
from .resampling import resample
from .timeline import Timeline
from .voice import Voice


@torch.inference_mode()
def encode_voice(networks: EmoNetworks, voice: Voice, timeline: Timeline, device: torch.device) -> Tensor:
    """Voice features of all generated frames [1, padded frames, D], the padded tail included.

    A long voice is encoded in overlapping chunks, in bounded memory.
    """
    samples = resample(voice.samples, voice.sample_rate_hz, SAMPLE_RATE_HZ).to(device)
    if networks.config.audio.features != "resampled":
        raise InputError(
            got=f"the model {networks.config.name}, which hears the voice in its own way",
            allowed="a model of this project, block by block",
            do="use `comfyui-emo talk --model`, which knows that way",
        )
    encoder = networks.voice_encoder
    features = encoder.features_at(samples, timeline.padded_frame_count, float(timeline.fps))  # type: ignore[union-attr]
    return features.flatten(1)[None]
