"""Memory that grows with the voice: models of published weights hear all of it at once.

What is estimated are the tensors alone, without work space: a voice is refused only where it cannot fit.
"""

from fractions import Fraction
from functools import lru_cache

import torch

from ..errors import InputError
from ..models.config import LATENT_DOWNSCALE, AudioConfig, EmoConfig
from ..models.spectrogram_encoder import SpectrogramEncoder, SpectrogramEncoderConfig
from ..models.voice_encoder import SAMPLE_RATE_HZ, VoiceEncoder, VoiceEncoderConfig
from . import memory
from .timeline import Timeline
from .voice_rows import voice_rows

# A short voice, so that attention, whose need grows faster than the voice where it is not fused, hardly
# counts. A spectrogram encoder hears segments of half a minute, and attends within them.
_PROBE_S = {VoiceEncoder: 5, SpectrogramEncoder: 30}
# Where all frames are denoised together: the noise, the latents, the scheduler's next ones, the sum of the
# windows' predictions and their mean.
_COPIES_OF_LATENTS = 5
_FLOAT_BYTES = 4


def check_voice_fits(
    encoder: VoiceEncoder | SpectrogramEncoder,
    config: EmoConfig,
    timeline: Timeline,
    device: torch.device,
    free: int | None = None,
) -> None:
    """Find out before hours are spent whether a whole voice fits into the memory that is left.

    Args:
        encoder: hears the voice in one piece.
        config: of the model, one of a published family.
        timeline: of the voice.
        device: that will compute.
        free: bytes left on the device; None asks the device.

    Raises:
        InputError: it does not fit.
    """
    free = memory.free_bytes(device) if free is None else free
    per_second = _heard_bytes_per_s(type(encoder), encoder.config, config.audio, timeline.fps)
    if config.loop.kind == "windows":
        per_second += float(timeline.fps) * _COPIES_OF_LATENTS * _latent_bytes(config)
    need = round(per_second * timeline.duration_s)
    if free is None or need <= free:
        return
    raise InputError(
        got=f"{free / 1e9:.2f} GB free on {device}, for a voice of {timeline.duration_s / 60:.1f} minutes, "
        f"all of which {config.name} holds at once: {need / 1e9:.2f} GB or more",
        allowed=f"less than {free / per_second / 60:.1f} minutes in that memory",
        do="give the voice in parts, use a device with more memory, or a model of this project, which hears "
        "any voice clip by clip",
    )


@lru_cache(maxsize=8)
def _heard_bytes_per_s(
    kind: type[VoiceEncoder] | type[SpectrogramEncoder],
    encoder: VoiceEncoderConfig | SpectrogramEncoderConfig,
    audio: AudioConfig,
    fps: Fraction,
) -> float:
    """Peak of the tensors from a second of voice to what its frames hear, found without computing."""
    seconds = _PROBE_S[kind]
    with torch.device("meta"):
        listener = kind(encoder).eval()  # type: ignore[arg-type]
        samples = torch.empty(seconds * SAMPLE_RATE_HZ)
    with memory.LivingTensors() as living:
        voice_rows(listener, samples, int(seconds * fps), fps, audio)
    return living.peak / seconds


def _latent_bytes(config: EmoConfig) -> int:
    """The latents of a frame."""
    defaults = config.defaults
    cells = (defaults.height_px // LATENT_DOWNSCALE) * (defaults.width_px // LATENT_DOWNSCALE)
    return _FLOAT_BYTES * config.spatial.latent_channels * cells
