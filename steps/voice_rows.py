"""Voice -> the rows of features that every frame hears, as the public checkpoints take them."""

from fractions import Fraction

import torch
from torch import Tensor
from torch.nn import functional as F

from ..models.audio_layers import feature_windows
from ..models.config import AudioConfig
from ..models.spectrogram_encoder import SpectrogramEncoder
from ..models.voice_encoder import SAMPLE_RATE_HZ, VoiceEncoder

FEATURE_RATE_HZ = 50
# Rows that a frame hears of a spectrogram encoder: 4 before its own moment, and 5 after.
ROWS_BEFORE, ROWS_AFTER = 4, 5


def frame_rows(row_count: int, frame_count: int, fps: Fraction) -> Tensor:
    """Which of the rows at 50 Hz each frame hears [F, 10]; at the ends the outermost are repeated."""
    own = torch.tensor([int(Fraction(frame * FEATURE_RATE_HZ) / fps) for frame in range(frame_count)])
    return (own[:, None] + torch.arange(-ROWS_BEFORE, ROWS_AFTER + 1)).clamp(0, row_count - 1)


def interpolated_windows(
    encoder: VoiceEncoder, samples: Tensor, frame_count: int, fps: Fraction, window: int
) -> Tensor:
    """Every block's state on frames [1, F, 2m+1, L*C], the voice padded with silence to `frame_count`.

    samples: [N] at 16 kHz. The level is normalised before the padding.
    """
    padded = _padded(encoder.normalise(samples[None]), frame_count, fps)
    return feature_windows(encoder.encode_frames(padded, frame_count).flatten(2), window)


def _padded(waveform: Tensor, frame_count: int, fps: Fraction) -> Tensor:
    """A waveform [1, N] followed by silence until so many frames have passed."""
    length = round(frame_count * SAMPLE_RATE_HZ / fps)
    return F.pad(waveform, (0, max(0, length - waveform.shape[1])))


def doubled_windows(
    encoder: VoiceEncoder, samples: Tensor, frame_count: int, fps: Fraction, window: int
) -> Tensor:
    """The last state at two rows a frame, [1, F, 2*(2m+1), C]; beyond the ends rows of zeros.

    A voice that is shorter than so many frames is padded with silence, so that it keeps its pace.
    """
    waveform = _padded(encoder.normalise(samples[None]), frame_count, fps)
    last = encoder.encode_normalised(waveform)[:, :, -1]  # [1, T, C]
    rows = F.interpolate(last.float().transpose(1, 2), size=2 * frame_count, mode="linear")
    rows = F.pad(rows, (2 * window, 2 * window)).transpose(1, 2).to(last.dtype)
    places = 2 * torch.arange(frame_count)[:, None] + torch.arange(2 * (2 * window + 1))
    return rows[:, places.to(rows.device)]


def spectrogram_windows(
    encoder: SpectrogramEncoder, samples: Tensor, frame_count: int, fps: Fraction
) -> Tensor:
    """Every layer's state at 10 rows a frame as one sequence of tokens [1, F, 10*L, C]."""
    rows = encoder(samples)  # [T, L, C]
    return rows[frame_rows(len(rows), frame_count, fps).to(rows.device)].flatten(1, 2)[None]


@torch.inference_mode()
def voice_rows(
    encoder: VoiceEncoder | SpectrogramEncoder,
    samples: Tensor,
    frame_count: int,
    fps: Fraction,
    config: AudioConfig,
) -> Tensor:
    """What every frame hears [1, F, rows, D]; samples [N] at 16 kHz, of a voice of at most so many frames."""
    if isinstance(encoder, SpectrogramEncoder):
        return spectrogram_windows(encoder, samples, frame_count, fps)
    if config.features == "interpolated":
        return interpolated_windows(encoder, samples, frame_count, fps, config.window)
    return doubled_windows(encoder, samples, frame_count, fps, config.window)
