"""What saved graphs stand on: ids, inputs, outputs and their order; and that declaring them needs nothing."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from comfyui_emo import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS
from comfyui_emo.models.config import SamplingDefaults
from comfyui_emo.nodes.motion import BY_CURVE, BY_SPEED
from comfyui_emo.nodes.sampler import MODELS_OWN
from comfyui_emo.steps.head_motion import MAX_SPEED, STYLES, USUAL_SPEED
from comfyui_emo.steps.sampling_settings import MAX_STEPS
from comfyui_emo.steps.schedulers import SCHEDULER_NAMES

GOLDEN = Path(__file__).with_name("golden.json")


def describe(node_id: str) -> dict:
    """A block's declaration without the words that may be improved."""
    node = NODE_CLASS_MAPPINGS[node_id]
    inputs = {
        kind: [
            [name, kind_of, {key: value for key, value in options.items() if key != "tooltip"}]
            for name, (kind_of, options) in declared.items()
        ]
        for kind, declared in node.INPUT_TYPES().items()
        if kind != "hidden"
    }
    inputs["hidden"] = [list(pair) for pair in node.INPUT_TYPES().get("hidden", {}).items()]
    return {
        "inputs": inputs,
        "outputs": [list(pair) for pair in zip(node.RETURN_NAMES, node.RETURN_TYPES, strict=True)],
        "output_node": getattr(node, "OUTPUT_NODE", False),
    }


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """A working folder without models, since the list of models is part of a declaration."""
    monkeypatch.chdir(tmp_path)


def test_declarations_are_as_saved_graphs_know_them():
    described = {node_id: describe(node_id) for node_id in NODE_CLASS_MAPPINGS}
    assert described == json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("node_id", NODE_CLASS_MAPPINGS)
def test_every_block_explains_itself(node_id):
    node = NODE_CLASS_MAPPINGS[node_id]
    assert node_id.startswith("EMO") and NODE_DISPLAY_NAME_MAPPINGS[node_id]
    assert node.CATEGORY.split("/")[0] == "EMO" and node.DESCRIPTION
    assert len(node.OUTPUT_TOOLTIPS) == len(node.RETURN_TYPES) == len(node.RETURN_NAMES)
    declared = node.INPUT_TYPES()
    inputs = {**declared["required"], **declared.get("optional", {})}
    tooltips = {name: options.get("tooltip", "") for name, (_, options) in inputs.items()}
    assert [name for name, tooltip in tooltips.items() if not tooltip.endswith(".")] == []
    inputs |= declared.get("hidden", {})
    parameters = list(inspect.signature(getattr(node, node.FUNCTION)).parameters)
    assert parameters == ["self", *inputs]


def test_choices_are_those_of_the_steps():
    sampler = NODE_CLASS_MAPPINGS["EMOSamplerAdvanced"].INPUT_TYPES()["required"]
    assert sampler["scheduler"][0] == [MODELS_OWN, *SCHEDULER_NAMES]
    assert sampler["steps"][1]["max"] == MAX_STEPS
    motion = NODE_CLASS_MAPPINGS["EMOHeadMotion"].INPUT_TYPES()["required"]
    assert motion["style"][0] == [*STYLES, BY_SPEED, BY_CURVE]
    assert motion["speed"][1]["max"] == MAX_SPEED and motion["speed"][1]["default"] == USUAL_SPEED
    shown_for = f"{USUAL_SPEED} degrees per frame"
    assert shown_for in NODE_CLASS_MAPPINGS["EMOFaceRegion"].OUTPUT_TOOLTIPS[3]
    assert set(STYLES) <= set(SamplingDefaults.__dataclass_fields__)


BARE_PYTHON = """
import sys
HEAVY = {"torch", "numpy", "diffusers", "transformers", "kornia", "av", "PIL", "safetensors", "tqdm", "comfy"}
class NothingInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in HEAVY:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NothingInstalled())
import json, comfyui_emo
print(json.dumps({name: node.INPUT_TYPES() for name, node in comfyui_emo.NODE_CLASS_MAPPINGS.items()}))
"""


def test_blocks_are_declared_on_a_bare_python(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", BARE_PYTHON],
        cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=60, check=False,
    )
    assert result.stderr == ""
    declared = json.loads(result.stdout)
    assert declared == json.loads(json.dumps({k: n.INPUT_TYPES() for k, n in NODE_CLASS_MAPPINGS.items()}))
    assert list(tmp_path.iterdir()) == []
