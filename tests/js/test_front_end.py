"""The scripts of the page: their arithmetic under node, their imports, and their numbers beside Python's."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from comfyui_emo import NODE_CLASS_MAPPINGS
from comfyui_emo.steps.graph_tensors import locate_face
from comfyui_emo.steps.head_motion import MAX_SPEED, USUAL_SPEED, HeadMotion
from comfyui_emo.steps.portrait import Portrait

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "js").glob("*.js"))
MODULES = sorted((ROOT / "js").glob("*.mjs"))
NODE = shutil.which("node") or ""
HOSTS_SCRIPTS = {"../../scripts/app.js", "../../scripts/api.js"}


@pytest.mark.skipif(not NODE, reason="node is not installed: the scripts' arithmetic is not tested")
def test_the_arithmetic_of_the_scripts():
    tests = sorted(str(path) for path in Path(__file__).parent.glob("*.test.mjs"))
    result = subprocess.run(
        [NODE, "--test", *tests], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def imports_of(path: Path) -> set[str]:
    return set(re.findall(r'from "([^"]+)"', path.read_text(encoding="utf-8")))


def test_scripts_import_the_hosts_two_public_ones_and_their_own_only():
    for path in SCRIPTS:
        own = imports_of(path) - HOSTS_SCRIPTS
        assert all((path.parent / name).is_file() for name in own), path.name
    assert {name for path in MODULES for name in imports_of(path)} == set()
    assert not [path.name for path in SCRIPTS if ".prototype" in path.read_text(encoding="utf-8")]


def test_every_block_that_gives_a_video_plays_it():
    script = (ROOT / "js" / "emo.js").read_text(encoding="utf-8")
    videos = {name for name, node in NODE_CLASS_MAPPINGS.items() if "VIDEO" in node.RETURN_TYPES}
    assert set(re.findall(r'"(EMO\w+)"', re.search(r"VIDEO_BLOCKS = (.*);", script)[1])) == videos


def constant(module: str, name: str) -> float:
    text = (ROOT / "js" / module).read_text(encoding="utf-8")
    return float(re.search(rf"const {name} = ([\d.]+);", text)[1])


def test_scripts_and_steps_agree_on_their_numbers():
    assert constant("region.mjs", "USUAL_MARGIN") == HeadMotion(USUAL_SPEED).movement_margin
    assert constant("curve.mjs", "MAX_SPEED") == MAX_SPEED


@pytest.mark.skipif(not NODE, reason="node is not installed: the scripts are not run")
def test_both_take_the_same_middle_of_a_picture(tmp_path, monkeypatch):
    import torch

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # a folder without a detector
    script = (
        f"import {{ middleRegion }} from {str(ROOT / 'js' / 'region.mjs')!r};"
        "const {x, y, width, height} = middleRegion([300, 217]); console.log(`${x},${y},${width},${height}`)"
    )
    result = subprocess.run(
        [NODE, "--input-type=module", "--eval", script], capture_output=True, text=True, check=True
    )
    picture = Portrait(torch.zeros(1, 3, 217, 300), "a picture")
    assert result.stdout.strip() == str(locate_face(picture, middle_share=0.6).region)
