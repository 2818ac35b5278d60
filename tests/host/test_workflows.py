"""The workflows that come with the pack, against a real host's declarations, and run by it."""

import json
import shutil
from typing import Any

import av
import pytest
from host.conversion import NOTES, api_form, choices, declared_inputs, is_widget
from host.graphs import ROOT, VOICE, VOICE_S, fill_input_folder

from comfyui_emo.steps.video_file import read_video

WORKFLOWS = {path.stem: path for path in sorted((ROOT / "workflows").glob("*.json"))}
# What runs without a download: the size of the video, and how often the short voice sounds in it.
RUNNABLE = {
    "talk-simple": ((128, 128), 1),
    "talk-blocks": ((128, 128), 1),
    "face-in-large-picture": ((1024, 512), 1),
    "long-voice": ((128, 128), 3),
    "song-speed-curve": ((128, 128), 1),
}
WEIGHTS = {"ckpt_name", "model_name"}
PUBLISHED = {"hallo", "echomimic", "v-express"}
# What the page adds to nodes that read files.
PAGES_OWN = {"upload", "audioUI"}
FRAME_S = 1 / 25


def saved(name: str) -> dict[str, Any]:
    return json.loads(WORKFLOWS[name].read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def info(comfy):
    """What the host declares, with the workflows' pictures and voices in its input folder."""
    for folder in ("portraits", "voices"):
        for path in (ROOT / "assets" / folder).iterdir():
            shutil.copy(path, comfy.input_folder)
    fill_input_folder(comfy.input_folder)
    return comfy.get("/object_info")


def test_every_workflow_runs_or_names_its_downloads():
    assert set(WORKFLOWS) - set(RUNNABLE) == {"portrait-from-image-model", *PUBLISHED}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_nodes_and_links_are_those_that_the_host_declares(info, name):
    workflow = saved(name)
    nodes = {node["id"]: node for node in workflow["nodes"] if node["type"] not in NOTES}
    for node in nodes.values():
        declared = declared_inputs(info, node["type"])
        assert {entry["name"] for entry in node["inputs"]} - PAGES_OWN == set(declared), node["type"]
        assert [entry["type"] for entry in node["outputs"]] == info[node["type"]]["output"]
        linked = {entry["name"] for entry in node["inputs"] if entry["link"] is not None}
        required = info[node["type"]]["input"]["required"]
        assert {name for name, spec in required.items() if not is_widget(spec)} <= linked
    for _, source, output, target, socket, kind in workflow["links"]:
        end = nodes[target]
        (wanted, *_) = declared_inputs(info, end["type"])[end["inputs"][socket]["name"]]
        assert info[nodes[source]["type"]]["output"][output] == kind == wanted


@pytest.mark.parametrize("name", WORKFLOWS)
def test_values_are_among_those_that_the_host_offers(info, name):
    prompt = api_form(saved(name), info)
    for node in prompt.values():
        for key, spec in declared_inputs(info, node["class_type"]).items():
            value = node["inputs"].get(key)
            if key not in node["inputs"] or isinstance(value, list) or key in WEIGHTS:
                continue
            if name in PUBLISHED and key == "model_file":
                continue
            offered = choices(spec)
            if offered is not None:
                assert value in offered, (node["class_type"], key)
            elif spec[0] in ("INT", "FLOAT"):
                assert spec[1].get("min", value) <= value <= spec[1].get("max", value)


def test_only_the_downloads_keep_the_image_models_workflow_from_running(comfy, info):
    refusal = comfy.refused(api_form(saved("portrait-from-image-model"), info))
    errors = [error for node in refusal["node_errors"].values() for error in node["errors"]]
    assert {error["type"] for error in errors} == {"value_not_in_list"}
    assert {error["extra_info"]["input_name"] for error in errors} == WEIGHTS


@pytest.mark.parametrize("name", RUNNABLE)
def test_a_workflow_runs_and_leaves_its_video_with_the_graph_inside(comfy, info, name):
    size_px, voices = RUNNABLE[name]
    workflow = saved(name)
    changes = {"LoadAudio": {"audio": VOICE}, "EMOSampler": {"steps": 2}}
    prompt = api_form(workflow, info, **changes)
    outcome = comfy.run(prompt, extra_data={"extra_pnginfo": {"workflow": workflow}})
    assert outcome.status == "success", outcome.messages
    shown = [entry for output in outcome.outputs.values() for entry in output.get("images", [])]
    kept = [comfy.file(entry) for entry in shown if entry["type"] == "output"]
    (path,) = [path for path in kept if path.suffix == ".mp4"]
    video = read_video(path)
    assert video.frames.shape[1:3] == size_px[::-1] and video.frames.std() > 10
    assert abs(len(video.frames) / video.fps - voices * VOICE_S) <= FRAME_S
    with av.open(str(path)) as container:
        assert {stream.type for stream in container.streams} == {"video", "audio"}
    assert video.voice.samples.std() > 0.01
    assert json.loads(video.metadata["workflow"]) == workflow
