"""Putting the level of a voice right."""

import logging
import math
from array import array
from typing import TypeVar

from ..errors import InputError
from .resampling import in_blocks
from .voice import VoiceSource

log = logging.getLogger(__name__)

# Loudness counts windows of speech only: those less than 40 dB under the loudest.
_LEVEL_WINDOW_S, _LEVEL_WINDOWS_AT_ONCE = 0.05, 64
_LEVEL_GATE = 10 ** (-40 / 20)

Source = TypeVar("Source", bound=VoiceSource)


def normalise_loudness(voice: Source, target_dbfs_rms: float = -20.0) -> Source:
    """Bring the level of the speech, pauses left out, to a target; peaks stay within full scale.

    Args:
        voice: the voice.
        target_dbfs_rms: wanted level in dB under full scale.

    Returns:
        The voice with one gain applied; a silent voice as it is.

    Raises:
        InputError: a target outside -60..0.
    """
    if not -60 <= target_dbfs_rms <= 0:
        raise InputError(
            got=f"target {target_dbfs_rms} dBFS", allowed="-60 to 0", do="set it, for example to -20"
        )
    powers, peak = _levels(voice)
    if peak == 0:
        log.warning("%s is silent: its level is left as it is", voice.source)
        return voice
    gate = max(powers) * _LEVEL_GATE**2
    speech = array("d", (power for power in powers if power > gate))
    gain = 10 ** (target_dbfs_rms / 20) / math.sqrt(math.fsum(speech) / len(speech))
    if gain * peak > 1:
        log.info(
            "%s: gain held back by %.1f dB, so that peaks fit", voice.source, 20 * math.log10(gain * peak)
        )
        gain = 1 / peak
    return voice.amplified(gain)  # type: ignore[return-value]


def _levels(voice: VoiceSource) -> tuple["array[float]", float]:
    """The mean square of every window, and the largest size of a sample."""
    window = max(1, round(_LEVEL_WINDOW_S * voice.sample_rate_hz))
    # Four hours have 288,000 windows: computed many at a time, and kept as bare numbers.
    powers, peak = array("d"), 0.0
    for block in in_blocks(voice.blocks(), window * _LEVEL_WINDOWS_AT_ONCE):
        whole = len(block) // window * window
        powers.extend(block[:whole].view(-1, window).square().mean(1).tolist())
        if whole < len(block):  # the last window of the voice is a short one
            powers.append(float(block[whole:].square().mean()))
        peak = max(peak, float(block.abs().max()))
    return powers, peak
