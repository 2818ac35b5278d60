"""Memory that grows with the voice: models of published weights hear all of it at once.

Hearing and projecting run on torch's `meta` device, where tensors have shapes and no content.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ..errors import InputError
from ..models.build import build_audio_projection
from ..models.config import LATENT_DOWNSCALE, AudioConfig, EmoConfig
from ..models.spectrogram_encoder import SpectrogramEncoder, SpectrogramEncoderConfig
from ..models.voice_encoder import SAMPLE_RATE_HZ, VoiceEncoder, VoiceEncoderConfig
from . import memory
from .published_sampling import generated_frame_count
from .timeline import Timeline
from .voice_rows import voice_rows

# Latents of the whole video that a loop over windows holds at once: its noise, the sample before and after a
# step, the sum of predictions, their mean, and the clean latents that they mean.
_LATENTS_HELD = 6
# Voices that are heard on the meta device; a longer one takes the more that the longer of these takes.
_PROBES_S = (30, 60)


class FusedAttention(TorchFunctionMode):
    """Attention takes its result only, as the kernels of CPUs and cards do that never store the weights."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.scaled_dot_product_attention:
            named = {**dict(zip(("query", "key", "value"), args, strict=False)), **(kwargs or {})}
            queries, values = named["query"], named["value"]
            return queries.new_empty(*queries.shape[:-1], values.shape[-1])
        return func(*args, **(kwargs or {}))


def with_peak(work: Callable[[], Any]) -> tuple[Any, int]:
    """What some work on the meta device gives, and the bytes in use at its height."""
    with torch.inference_mode(), FusedAttention(), memory.LivingTensors() as living:
        result = work()
        return result, living.peak


@dataclass(frozen=True)
class VoiceNeed:
    """What a voice takes.

    Attributes:
        row_shape: rows and width of what a frame hears.
        held: bytes held to the end: what frames hear, and where all are denoised together, their latents.
        working: bytes beside them while the voice is encoded, or projected.
    """

    row_shape: tuple[int, int]
    held: int
    working: int


def voice_need(
    encoder: VoiceEncoder | SpectrogramEncoder, config: EmoConfig, timeline: Timeline, dtype: torch.dtype
) -> VoiceNeed:
    """The memory that a voice takes, found without computing.

    Args:
        encoder: of the kind and size that hears it, in float32.
        config: of the model, one of a published family.
        timeline: of the voice.
        dtype: of the networks that denoise.
    """
    count = generated_frame_count(config, timeline)
    row_shape, hearing = _hearing(encoder, config.audio, timeline.fps, timeline.duration_s)
    rows = torch.empty(1, count, *row_shape, dtype=dtype, device="meta")
    if config.loop.kind == "clips":
        return VoiceNeed(row_shape, _bytes_of(rows), hearing)
    with torch.device("meta"):
        projection = build_audio_projection(config).to(dtype).eval()
    tokens, projecting = with_peak(lambda: projection(rows))
    held = _bytes_of(rows) + (0 if tokens is rows else _bytes_of(tokens))
    held += _LATENTS_HELD * count * _latent_places(config) * dtype.itemsize
    return VoiceNeed(row_shape, held, max(hearing, projecting))


def _hearing(
    encoder: VoiceEncoder | SpectrogramEncoder, audio: AudioConfig, fps: Fraction, duration_s: float
) -> tuple[tuple[int, int], int]:
    """Rows and width of what a frame hears, and the peak beside them all while a voice is encoded."""
    kind, config = type(encoder), encoder.config
    if duration_s <= _PROBES_S[-1]:
        return _heard(kind, config, audio, fps, duration_s)
    (_, shorter), (row_shape, longer) = (_heard(kind, config, audio, fps, probe) for probe in _PROBES_S)
    slope = (longer - shorter) / (_PROBES_S[1] - _PROBES_S[0])
    return row_shape, round(longer + slope * (duration_s - _PROBES_S[1]))


@lru_cache(maxsize=8)
def _heard(
    kind: type[VoiceEncoder] | type[SpectrogramEncoder],
    config: VoiceEncoderConfig | SpectrogramEncoderConfig,
    audio: AudioConfig,
    fps: Fraction,
    duration_s: float,
) -> tuple[tuple[int, int], int]:
    with torch.device("meta"):
        encoder = kind(config).eval()  # type: ignore[arg-type]
        voice = torch.empty(round(duration_s * SAMPLE_RATE_HZ))
    count = math.ceil(duration_s * fps)
    rows, peak = with_peak(lambda: voice_rows(encoder, voice, count, fps, audio))
    return (rows.shape[2], rows.shape[3]), peak - _bytes_of(rows)


def _bytes_of(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _latent_places(config: EmoConfig) -> int:
    """Numbers in the latents of a frame."""
    places = config.defaults.height_px * config.defaults.width_px // LATENT_DOWNSCALE**2
    return config.spatial.latent_channels * places


def check_voice_fits(
    encoder: VoiceEncoder | SpectrogramEncoder,
    config: EmoConfig,
    timeline: Timeline,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    free: int | None = None,
) -> None:
    """Find out before hours are spent whether a whole voice fits into the memory that is left.

    These are the tensors alone, without work space: a voice is refused only where it cannot fit.

    Args:
        encoder, config, timeline, dtype: see `voice_need`.
        device: that will compute.
        free: bytes left on the device; None asks the device.

    Raises:
        InputError: it does not fit.
    """
    free = memory.free_bytes(device) if free is None else free
    if free is None:
        return
    voice = voice_need(encoder, config, timeline, dtype)
    need = voice.held + voice.working
    if need <= free:
        return
    minutes = timeline.duration_s / 60
    raise InputError(
        got=f"{free / 1e9:.2f} GB free on {device}, for a voice of {minutes:.1f} minutes, "
        f"all of which {config.name} holds at once: {need / 1e9:.2f} GB or more",
        allowed=f"less than {minutes * free / need:.1f} minutes in that memory",
        do="give the voice in parts, use a device with more memory, or a model of this project, which hears "
        "any voice clip by clip",
    )
