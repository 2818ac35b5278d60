"""A whisper encoder as voice encoder: waveform -> states of its stem and all of its blocks at 50 Hz."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import WhisperConfig
from transformers.audio_utils import mel_filter_bank
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from ..errors import InputError

SAMPLE_RATE_HZ = 16000
HOP_SAMPLES = 160
FOURIER_SAMPLES = 400


@dataclass(frozen=True)
class SpectrogramEncoderConfig:
    """Shape of the encoder; the defaults are whisper-tiny's.

    Attributes:
        bands: mel bands of the spectrogram.
        positions: rows of one segment, at 50 Hz (1500: 30 seconds).
        width, heads, layers: of the blocks.
    """

    bands: int = 80
    positions: int = 1500
    width: int = 384
    heads: int = 6
    layers: int = 4


def log_mel(waveform: Tensor, bands: int = 80) -> Tensor:
    """Waveform [N] at 16 kHz -> whisper's log-mel spectrogram [bands, N // 160], over the whole waveform.

    The loudest value of the whole waveform sets the floor, 8 decades of power below it.
    """
    window = torch.hann_window(FOURIER_SAMPLES, device=waveform.device)
    spectrum = torch.stft(waveform, FOURIER_SAMPLES, HOP_SAMPLES, window=window, return_complex=True)
    rate = SAMPLE_RATE_HZ
    filters: Any = mel_filter_bank(
        FOURIER_SAMPLES // 2 + 1, bands, 0.0, rate / 2, rate, norm="slaney", mel_scale="slaney"
    )
    bank = torch.as_tensor(filters.T, dtype=torch.float32, device=waveform.device)
    power = bank @ spectrum[:, :-1].abs() ** 2
    decades = power.clamp(min=1e-10).log10()
    return (decades.maximum(decades.max() - 8) + 4) / 4


class SpectrogramEncoder(nn.Module):
    """Waveform [N] at 16 kHz -> [T, layers + 1, width] at 50 Hz, segment by segment."""

    def __init__(self, config: SpectrogramEncoderConfig):
        super().__init__()
        self.config = config
        self.encoder = WhisperEncoder(
            WhisperConfig(
                num_mel_bins=config.bands,
                max_source_positions=config.positions,
                d_model=config.width,
                encoder_attention_heads=config.heads,
                encoder_layers=config.layers,
                encoder_ffn_dim=4 * config.width,
                dropout=0.0,
            )
        )

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode a voice of any length.

        Raises:
            InputError: the waveform is shorter than one row (20 ms and half a window, 400 samples).
        """
        if waveform.ndim != 1 or len(waveform) < FOURIER_SAMPLES:
            raise InputError(
                got=f"a waveform of shape {list(waveform.shape)}",
                allowed=f"[samples], {FOURIER_SAMPLES} samples or more",
                do="give a longer voice",
            )
        spectrogram = log_mel(waveform.float(), self.config.bands)
        columns = 2 * self.config.positions
        parts = []
        for segment in spectrogram.split(columns, dim=1):
            padded = F.pad(segment, (0, columns - segment.shape[1]))
            parts.append(self._states(padded)[: segment.shape[1] // 2])
        return torch.cat(parts)

    def _states(self, spectrogram: Tensor) -> Tensor:
        """One segment's spectrogram [bands, 2 * positions] -> [positions, layers + 1, width]."""
        states: list[Tensor] = []

        def before(_: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
            states.append(args[0] if args else kwargs["hidden_states"])

        def after(_: nn.Module, __: tuple, output: Tensor | tuple[Tensor, ...]) -> None:
            states.append(output[0] if isinstance(output, tuple) else output)

        # Hooks, because recent versions of transformers no longer give an encoder's hidden states.
        handles = [self.encoder.layers[0].register_forward_pre_hook(before, with_kwargs=True)]
        handles += [layer.register_forward_hook(after) for layer in self.encoder.layers]
        try:
            self.encoder(spectrogram[None].to(self.encoder.conv1.weight.dtype))
        finally:
            for handle in handles:
                handle.remove()
        return torch.stack(states, dim=2)[0]
