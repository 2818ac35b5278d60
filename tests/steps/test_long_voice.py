"""A recording of four hours, heard through in the memory and the time of its blocks."""

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from comfyui_emo.steps.voice import open_voice

RATE_HZ, SECONDS = 2000, 4 * 3600
VOICE_BYTES = 4 * RATE_HZ * SECONDS  # 115 MB, as float32
_BLOCK = 65535  # the longest that flac has: the fewer blocks, the sooner the file is made and read

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="no /proc to read peak memory from"
)


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


# In a process of its own: what another one has freed before is used again, and its peak then does not grow.
_MEASURED = """
import json, re, sys, time
from pathlib import Path
from comfyui_emo.steps.loudness import normalise_loudness
from comfyui_emo.steps.voice import open_voice, read_voice

def peak_bytes():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

def growth(do):
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_bytes()
    do()
    return peak_bytes() - before

path, seconds = Path(sys.argv[1]), float(sys.argv[2])
open_voice(path, duration_s=60.0)  # whatever is loaded and set up once
found = {"opened": growth(lambda: open_voice(path))}
voice = open_voice(path)
started = time.process_time()
found["levelled"] = growth(lambda: normalise_loudness(voice))
found["levelled_in_s"] = time.process_time() - started
found["held"] = growth(lambda: read_voice(path, duration_s=seconds / 2))
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def measured(four_hours) -> dict[str, float]:
    """Bytes by which the peak of a process grows while the voice is opened, levelled, or half of it held."""
    command = [sys.executable, "-c", _MEASURED, str(four_hours), str(SECONDS)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def test_it_is_heard_in_the_memory_of_a_few_blocks(four_hours, measured):
    assert measured["held"] > VOICE_BYTES / 3  # that the measure sees a voice that is held
    assert measured["opened"] < VOICE_BYTES / 6
    voice = open_voice(four_hours)
    assert (voice.duration_s, voice.sample_count) == (SECONDS, RATE_HZ * SECONDS)


def test_its_level_is_found_in_flat_memory_and_in_seconds(measured):
    assert measured["levelled"] < VOICE_BYTES / 6
    # Comparing every window with all others takes a quarter of an hour.
    assert measured["levelled_in_s"] < 20
