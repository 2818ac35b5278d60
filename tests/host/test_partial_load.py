"""A model that the device cannot hold: the host loads a part of it, and the output is the same."""

import json
import os
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def found(host_python):
    """What `partial_load.py` tells."""
    comfyui = Path(os.environ["COMFYUI_PATH"])
    script = Path(__file__).with_name("partial_load.py")
    run = subprocess.run([host_python, script], cwd=comfyui, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-4000:]
    return json.loads(run.stdout.splitlines()[-1])


def test_half_the_memory_gives_the_same_output_bit_by_bit(found):
    assert found["equal"] == {"voice": True, "reference": True, "frames": True}
    assert found["spread"] > 0.1


def test_the_load_was_partial_and_every_layer_left_behind_was_brought_over_when_used(found):
    whole_loads, partial_loads = found["partial_models"]
    assert whole_loads == 0 and partial_loads >= 1
    assert 0 < found["loaded_bytes"] <= found["bytes"] / 2
    assert found["left_behind"] > 100
    assert found["left_behind_and_used"] == found["left_behind"]


def test_no_layer_with_weights_is_of_a_plain_class(found):
    assert found["plain_layers"] == []


def test_buffers_and_weights_beside_layers_are_brought_by_the_pack(found):
    assert found["follow"] == {"scale": True, "places": True, "layer.weight": False, "layer.bias": False}
