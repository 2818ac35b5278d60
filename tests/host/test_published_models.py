"""Published files in a real host: listed, loaded, and sampled to a video. Small files stand for them."""

from pathlib import Path

import pytest
from families import SMALL, write_published
from host.graphs import fill_input_folder, latent_prompt
from small_families import SIDE_PX

from comfyui_emo.steps.video_file import read_video

FAMILIES = ("hallo", "echomimic", "echomimic-acc", "v-express")
DURATION_S = 0.2
# Asked for its inputs, this block lets the pack take small files for the published ones.
SHRINK = f"""
import importlib, sys
sys.path.insert(0, {str(Path(__file__).resolve().parents[1])!r})

class Shrink:
    FUNCTION, RETURN_TYPES, CATEGORY = "run", (), "tests"

    @classmethod
    def INPUT_TYPES(cls):
        from small_families import shrink
        pack = next(name for name in sys.modules if name.endswith("ComfyUI-EMO"))
        shrink(lambda name: importlib.import_module(f"{{pack}}.{{name}}"))
        return {{"required": {{}}}}

NODE_CLASS_MAPPINGS = {{"EMOTestsShrink": Shrink}}
"""


@pytest.fixture(scope="module")
def small_host(start_host):
    host = start_host(nodes=SHRINK)
    fill_input_folder(host.input_folder)
    host.get("/object_info/EMOTestsShrink")
    for name in FAMILIES:
        write_published(host.base / "models" / "emo" / name, SMALL[name])
    return host


def test_folders_of_published_files_are_listed_and_their_parts_are_not(small_host):
    declared = small_host.get("/object_info/EMOLoadModel")["EMOLoadModel"]["input"]["required"]
    wanted = [f"{name} [{name}]" for name in sorted(FAMILIES)]
    assert declared["model_file"][0] == ["bundled avatar model", *wanted]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_makes_a_video_and_says_its_licence(small_host, name):
    prompt = latent_prompt(steps=1, duration=DURATION_S)
    del prompt["motion"], prompt["sampler"]["inputs"]["motion"]
    prompt["model"]["inputs"]["model_file"] = f"{name} [{name}]"
    outcome = small_host.run(prompt)
    assert outcome.status == "success", outcome.error
    (told,) = outcome.outputs["model"]["text"]
    assert f"licence of the weights: {SMALL[name].licence}" in told
    (entry,) = outcome.outputs["video"]["images"]
    video, fps = read_video(small_host.file(entry)), SMALL[name].config.defaults.fps
    assert video.frames.shape[1:] == (SIDE_PX, SIDE_PX, 3) and video.fps == fps and video.frames.std() > 1
    assert abs(len(video.frames) / fps - DURATION_S) <= 1 / fps
    assert abs(video.voice.duration_s - DURATION_S) < 2e-3
