"""Voice features at the encoder's rate -> features of each video frame."""

import math

import torch
from torch import Tensor

from ..errors import InputError
from .voice_encoder_config import VoiceEncoderConfig


def _hat_integral(distance: Tensor) -> Tensor:
    """Integral from -infinity to `distance` of the triangle of height 1 over -1..1."""
    inside = distance.clamp(-1, 1)
    return torch.where(inside < 0, (inside + 1).square() / 2, 1 - (1 - inside).square() / 2)


def features_heard(
    first_frame: int, frame_count: int, fps: float, total: int, config: VoiceEncoderConfig
) -> tuple[int, int]:
    """First and one-past-last of `total` features that `resample_features` makes such frames of."""
    rate, offset = config.feature_rate_hz, config.first_feature_s * config.feature_rate_hz
    low = math.floor(first_frame * (rate / fps) - offset)
    high = math.floor((first_frame + frame_count - 1) * (rate / fps) - offset) + _places(rate, fps)
    return min(max(low, 0), total - 1), min(max(high, 1), total)


def _places(rate: float, fps: float) -> int:
    """How many features' triangles a frame can touch."""
    return math.ceil(rate / fps) + 2


def resample_features(
    features: Tensor,
    frame_count: int,
    fps: float,
    config: VoiceEncoderConfig | None = None,
    first_frame: int = 0,
    first_feature: int = 0,
) -> Tensor:
    """Features at 50 Hz -> features per video frame.

    Frame f is the mean over f / fps ... (f + 1) / fps of the straight lines drawn between the features, each
    of which stands for the middle of the samples it was made from (see models/voice_encoder.py). Before the
    first and after the last feature, theirs hold.

    Args:
        features: [T, L, C], all of a voice's or those of `features_heard`.
        frame_count: F, frames wanted.
        fps: frames per second.
        config: the encoder's, for hop and receptive field; the default is every wav2vec 2.0's.
        first_frame: the first frame wanted.
        first_feature: which of the voice's features the first given one is.

    Returns:
        [F, L, C].

    Raises:
        InputError: no features, fps not above 0, or frame_count below 1.
    """
    if len(features) == 0 or not fps > 0 or frame_count < 1:
        raise InputError(
            got=f"{len(features)} features, fps {fps}, frame_count {frame_count}",
            allowed="at least one feature, fps above 0, at least one frame",
            do="check the voice and the frame rate",
        )
    shape = config or VoiceEncoderConfig()
    rate, offset = shape.feature_rate_hz, shape.first_feature_s * shape.feature_rate_hz
    numbers = torch.arange(first_frame, first_frame + frame_count + 1, dtype=torch.float64)
    edges = numbers * (rate / float(fps)) - offset
    starts, ends = edges[:-1], edges[1:]
    nearest = starts.floor().long()
    frames = features.new_zeros(frame_count, *features.shape[1:])
    for step in range(_places(rate, float(fps))):
        place = nearest + step  # [F] the features whose triangles touch the frames, one after the other
        weight = (_hat_integral(ends - place) - _hat_integral(starts - place)) / (ends - starts)
        given = (place - first_feature).clamp(0, len(features) - 1)
        frames += weight.to(features)[:, None, None] * features[given.to(features.device)]  # [F, L, C]
    return frames
