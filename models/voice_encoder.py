"""The voice encoder: waveform -> hidden states of every wav2vec 2.0 block (EMO section 3.2, "Audio Layers").

The paper concatenates the outputs of the blocks of a pretrained wav2vec. `VoiceEncoderConfig.wav2vec2_base`
is that network (the shape of wav2vec2-base-960h); the default configuration is the small one of the bundled
avatar model, whose attention looks a limited way around, so that a voice of any length is encoded chunk by
chunk with the same result as whole.

Alignment: feature k comes from samples k * hop ... k * hop + receptive_field - 1 (320 and 400 samples), so it
stands for the moment (k * hop + receptive_field / 2) / 16000 = 0.0125 s + k * 0.02 s, not for k * 0.02 s.
`resample_features` takes this into account.
"""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Wav2Vec2Model

from ..errors import InputError, WeightsError
from .frame_features import resample_features
from .voice_encoder_config import SAMPLE_RATE_HZ, VoiceEncoderConfig

__all__ = [
    "SAMPLE_RATE_HZ",
    "ChunkSpan",
    "VoiceEncoder",
    "VoiceEncoderConfig",
    "load_voice_encoder",
    "resample_features",
    "save_voice_encoder",
]

KIND = "voice_encoder"


@dataclass(frozen=True)
class ChunkSpan:
    """A chunk of a long voice, all in features counted from the start of the voice.

    Attributes:
        first, last: the features (one past the last) that are taken from it.
        low, high: the features that it is encoded with, the overlap on both sides included.
    """

    first: int
    last: int
    low: int
    high: int


class VoiceEncoder(nn.Module):
    """Waveform [B, N] at 16 kHz -> hidden states of all blocks [B, T, L, C] at 50 Hz."""

    def __init__(self, config: VoiceEncoderConfig):
        super().__init__()
        self.config = config
        self.wav2vec2 = Wav2Vec2Model(config.transformers_config())

    def normalise(self, waveform: Tensor) -> Tensor:
        """Zero mean and unit variance over the whole waveform [B, N]; see `level_floor`."""
        if not self.config.normalise_waveform:
            return waveform
        return self.levelled(waveform, *torch.var_mean(waveform, dim=-1, keepdim=True, correction=0))

    def levelled(self, waveform: Tensor, variance: Tensor, mean: Tensor) -> Tensor:
        """A part of a waveform whose variance and mean are known, as `normalise` makes it."""
        if not self.config.normalise_waveform:
            return waveform
        return (waveform - mean) * torch.rsqrt(variance + self.config.level_floor**2)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode a waveform in one piece.

        Args:
            waveform: [B, N] at 16 kHz, full scale is 1.

        Returns:
            [B, T, L, C], T = (N - 400) // 320 + 1.

        Raises:
            InputError: the waveform is shorter than one feature (400 samples, 25 ms).
        """
        return self.encode_normalised(self.normalise(waveform))

    def encode_normalised(self, waveform: Tensor) -> Tensor:
        """Encode a waveform [B, N] whose level is right already; otherwise as `forward`."""
        least = self.config.receptive_field_samples
        if waveform.ndim != 2 or waveform.shape[-1] < least:
            raise InputError(
                got=f"a waveform of shape {list(waveform.shape)}",
                allowed=f"[batch, samples], {least} samples ({1000 * least / SAMPLE_RATE_HZ:g} ms) or more",
                do="give a longer voice",
            )
        local = self.wav2vec2.feature_extractor(waveform).transpose(1, 2)  # [B, T, conv width]
        return self._encode_local(local)

    def encode_frames(self, waveform: Tensor, frame_count: int) -> Tensor:
        """As `encode_normalised`, with the convolutions' features brought to the frame rate first.

        The blocks then run on one feature per video frame: interpolated linearly, first on first and last on
        last. Gives [B, frame_count, L, C].
        """
        local = self.wav2vec2.feature_extractor(waveform)  # [B, conv width, T]
        local = F.interpolate(local, size=frame_count, mode="linear", align_corners=True)
        return self._encode_local(local.transpose(1, 2))

    def _encode_local(self, local: Tensor) -> Tensor:
        """Features of the convolutions [B, T, conv width] -> hidden states of all blocks [B, T, L, C]."""
        hidden, _ = self.wav2vec2.feature_projection(local)  # [B, T, C]
        with self._block_hooks(hidden) as states:
            output = self.wav2vec2.encoder(hidden, return_dict=True)
        if self.config.norm_first:
            # Versions of transformers differ in whether the last block's state is normed; this pins it.
            states[-1] = output.last_hidden_state
        stacked = torch.stack(states, dim=2)  # [B, T, L, C]
        return F.layer_norm(stacked, stacked.shape[-1:]) if self.config.normalise_features else stacked

    @contextmanager
    def _block_hooks(self, hidden: Tensor) -> Iterator[list[Tensor]]:
        """Collect every block's output, and narrow every block's attention to `attention_radius`.

        Hooks, because `encoder(output_hidden_states=True)` gives None in recent versions of transformers.
        """
        states: list[Tensor] = []
        mask = self._attention_mask(hidden)

        def narrow(_: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
            return args[:1], {**kwargs, "attention_mask": mask}

        def collect(_: nn.Module, __: tuple, output: Tensor | tuple[Tensor, ...]) -> None:
            states.append(output[0] if isinstance(output, tuple) else output)

        blocks = self.wav2vec2.encoder.layers
        handles = [block.register_forward_hook(collect) for block in blocks]
        if mask is not None:
            handles += [block.register_forward_pre_hook(narrow, with_kwargs=True) for block in blocks]
        try:
            yield states
        finally:
            for handle in handles:
                handle.remove()

    def _attention_mask(self, hidden: Tensor) -> Tensor | None:
        """What is added to the attention scores, [B, 1, T, T]; None if every feature sees all others."""
        count, radius = hidden.shape[1], self.config.attention_radius
        if radius is None or count <= radius + 1:
            return None
        place = torch.arange(count, device=hidden.device)
        far = (place[:, None] - place[None, :]).abs() > radius
        mask = torch.zeros(count, count, dtype=hidden.dtype, device=hidden.device)
        mask.masked_fill_(far, torch.finfo(hidden.dtype).min)
        return mask.expand(len(hidden), 1, count, count)

    @torch.no_grad()
    def encode_long(self, waveform: Tensor, chunk_s: float = 20.0, overlap_s: float = 3.0) -> Tensor:
        """Encode a waveform [B, N] of any length in overlapping chunks; memory for one chunk plus the result.

        The level is normalised over the whole waveform first. With an `attention_radius` and an overlap of at
        least `reach_features` the result equals `forward` up to rounding. Without one (wav2vec2-base) every
        feature depends on all of the voice, and chunks are close to the whole only away from their edges.

        Args:
            waveform: [B, N] at 16 kHz.
            chunk_s: seconds whose features one chunk gives.
            overlap_s: seconds of voice that each chunk sees on both sides beyond them.

        Returns:
            [B, T, L, C] on the waveform's device.

        Raises:
            InputError: a voice that is too short, or a chunk_s or overlap_s that cannot be used.
        """
        spans = self.chunk_spans(self.config.feature_count(waveform.shape[-1]), chunk_s, overlap_s)
        normalised = self.normalise(waveform)
        parts = []
        for span in spans:
            first, last = self.samples_of(span)
            parts.append(self.encode_chunk(normalised[:, first:last], span))
        return torch.cat(parts, dim=1)

    def chunk_spans(self, total: int, chunk_s: float = 20.0, overlap_s: float = 3.0) -> list[ChunkSpan]:
        """The chunks that `encode_long` encodes a voice of `total` features in; one if it is short.

        Raises:
            InputError: a chunk_s or overlap_s that cannot be used.
        """
        if not chunk_s * self.config.feature_rate_hz >= 1 or not overlap_s >= 0:
            raise InputError(
                got=f"chunk_s {chunk_s}, overlap_s {overlap_s}",
                allowed=f"chunk_s of {1 / self.config.feature_rate_hz:g} or more, overlap_s of 0 or more",
                do="change the chunk length",
            )
        step = int(chunk_s * self.config.feature_rate_hz)
        overlap = math.ceil(overlap_s * self.config.feature_rate_hz)
        reach = step + overlap
        if total <= reach:
            return [ChunkSpan(0, total, 0, total)]
        return [
            ChunkSpan(first, min(first + step, total), max(0, first - overlap), min(first + reach, total))
            for first in range(0, total, step)
        ]

    def samples_of(self, span: ChunkSpan) -> tuple[int, int]:
        """First and one-past-last sample that a chunk is encoded from."""
        hop, field = self.config.hop_samples, self.config.receptive_field_samples
        return span.low * hop, (span.high - 1) * hop + field

    @torch.no_grad()
    def encode_chunk(self, waveform: Tensor, span: ChunkSpan) -> Tensor:
        """The features [B, last - first, L, C] of a chunk, from its samples [B, n], of the right level."""
        return self.encode_normalised(waveform)[:, span.first - span.low : span.last - span.low]

    @torch.no_grad()
    def features_at(self, waveform: Tensor, frame_count: int, fps: float) -> Tensor:
        """A voice [N] at 16 kHz -> features [F, L, C]: `encode_long`, then `resample_features`."""
        return resample_features(self.encode_long(waveform[None])[0], frame_count, fps, self.config)


def save_voice_encoder(
    path: Path, encoder: VoiceEncoder, training_record: dict[str, Any] | None = None
) -> None:
    """Write weights, configuration and training record into one safetensors file.

    Metadata: "kind" is "voice_encoder", "config" and "training" are JSON.
    """
    weights = {name: value.detach().cpu().contiguous() for name, value in encoder.state_dict().items()}
    metadata = {
        "kind": KIND,
        "config": json.dumps(asdict(encoder.config)),
        "training": json.dumps(training_record or {}),
    }
    save_file(weights, path, metadata)


def _wrong_file(path: Path, got: str) -> WeightsError:
    return WeightsError(
        got=f"{path}: {got}",
        allowed=f"a whole safetensors file of kind {KIND!r}",
        do="download or train the voice encoder's weights again, or give another path",
    )


def _config_from(text: str) -> VoiceEncoderConfig:
    values: dict[str, Any] = json.loads(text)
    lists_as_tuples: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    return VoiceEncoderConfig(**lists_as_tuples)


def load_voice_encoder(path: Path) -> VoiceEncoder:
    """Read an encoder as `save_voice_encoder` wrote it, in eval mode on the CPU.

    Raises:
        WeightsError: the file is missing, damaged, of another kind, or does not fit its own configuration.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError) as error:
        raise _wrong_file(path, str(error)) from error
    if metadata.get("kind") != KIND:
        raise _wrong_file(path, f"kind {metadata.get('kind')!r}")
    try:
        encoder = VoiceEncoder(_config_from(metadata["config"]))
        encoder.load_state_dict({name: value.float() for name, value in weights.items()})
    except (KeyError, ValueError, TypeError, InputError, RuntimeError) as error:
        raise _wrong_file(path, f"{type(error).__name__}: {error}") from error
    return encoder.eval()
