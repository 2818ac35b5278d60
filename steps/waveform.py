"""A voice as the few numbers that draw its waveform."""

from .resampling import in_blocks
from .voice import VoiceSource


def waveform_peaks(voice: VoiceSource, count: int) -> list[float]:
    """The loudest sample of each of at most `count` equal parts, 0 to 1 at full scale.

    The last part may be shorter than the others.
    """
    parts = in_blocks(voice.blocks(), -(-voice.sample_count // count))
    return [round(min(1.0, float(part.abs().max())), 4) for part in parts]
