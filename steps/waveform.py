"""A voice as the few numbers that draw its waveform."""

from torch.nn import functional as F

from .voice import Voice


def waveform_peaks(voice: Voice, count: int) -> list[float]:
    """The loudest sample of each of at most `count` equal parts, 0 to 1 at full scale.

    The last part may be shorter than the others.
    """
    samples = voice.samples.abs()
    per_part = -(-len(samples) // count)
    parts = F.pad(samples, (0, -len(samples) % per_part)).view(-1, per_part)
    return [round(peak, 4) for peak in parts.amax(1).clamp(max=1).tolist()]
