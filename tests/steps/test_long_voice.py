"""A recording of four hours, heard through in the memory and the time of its blocks."""

import re
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from comfyui_emo.steps.loudness import normalise_loudness
from comfyui_emo.steps.voice import open_voice, read_voice

RATE_HZ, SECONDS = 2000, 4 * 3600
VOICE_BYTES = 4 * RATE_HZ * SECONDS  # 115 MB, as float32
_BLOCK = 65535  # the longest that flac has: the fewer blocks, the sooner the file is made and read
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")

pytestmark = pytest.mark.skipif(not _CLEAR.exists(), reason="no /proc to read peak memory from")


@pytest.fixture(scope="module")
def four_hours(tmp_path_factory) -> Path:
    """A tone of half a second in every half a minute, silence between."""
    path = tmp_path_factory.mktemp("voice") / "four_hours.flac"
    samples = np.zeros((1, _BLOCK), np.int16)
    samples[0, :1000] = 8000 * np.sin(np.arange(1000) / 5)
    with av.open(str(path), "w") as container:
        options = {"frame_size": str(_BLOCK)}
        stream = container.add_stream("flac", rate=RATE_HZ, layout="mono", options=options)
        for first in range(0, RATE_HZ * SECONDS, _BLOCK):
            part = samples[:, : RATE_HZ * SECONDS - first]
            frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, first, Fraction(1, RATE_HZ)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def peak_bytes() -> int:
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", _STATUS.read_text())[1])


def growth(do) -> int:
    """Bytes by which a call raises the peak of this process over what it holds now."""
    _CLEAR.write_text("5")
    before = peak_bytes()
    do()
    return peak_bytes() - before


def test_it_is_heard_in_the_memory_of_a_few_blocks(four_hours):
    # That the measure sees a voice that is held:
    assert growth(lambda: read_voice(four_hours, duration_s=SECONDS / 2)) > VOICE_BYTES / 3
    assert growth(lambda: open_voice(four_hours)) < VOICE_BYTES / 6
    voice = open_voice(four_hours)
    assert (voice.duration_s, voice.sample_count) == (SECONDS, RATE_HZ * SECONDS)


def test_its_level_is_found_in_flat_memory_and_in_seconds(four_hours):
    voice = open_voice(four_hours)
    started = time.process_time()
    assert growth(lambda: normalise_loudness(voice)) < VOICE_BYTES / 6
    # Comparing every window with all others takes a quarter of an hour.
    assert time.process_time() - started < 20
