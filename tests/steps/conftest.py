"""Sound files of every kind, made on the spot."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
CODECS = {
    ".wav": "pcm_s16le",
    ".flac": "flac",
    ".mp3": "libmp3lame",
    ".m4a": "aac",
    ".ogg": "vorbis",
    ".opus": "libopus",
}


def encode_sound(
    path: Path, samples: np.ndarray, rate_hz: int, codec: str | None = None, **options: str
) -> Path:
    """Write samples [channels, T] to a sound file."""
    layout = LAYOUTS[len(samples)]
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(
            codec or CODECS[path.suffix], rate=rate_hz, layout=layout, options={"strict": "experimental"}
        )
        stream.codec_context.time_base = Fraction(1, rate_hz)
        packed = np.ascontiguousarray(samples.T, dtype=np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def write_sound(tmp_path):
    """Write samples [T] or [channels, T] under a name in the test's own folder."""

    def write(name: str, samples: np.ndarray, rate_hz: int, codec: str | None = None, **options: str) -> Path:
        return encode_sound(tmp_path / name, np.atleast_2d(samples), rate_hz, codec, **options)

    return write


@pytest.fixture
def speech():
    """Something with the level of speech: [T] at 44.1 kHz, 2 s."""
    seconds = np.arange(88200) / 44100
    swell = (1 + np.sin(2 * np.pi * 3 * seconds)) / 2
    return (0.3 * swell * np.sin(2 * np.pi * 220 * seconds)).astype(np.float32)
