"""The adapter's side that talks to ComfyUI, against stand-ins for the parts of the host that it touches."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from comfyui_emo import NODE_CLASS_MAPPINGS, host


class Cancelled(Exception):
    """The host's interrupt."""


@pytest.fixture
def comfyui(tmp_path, monkeypatch):
    """Stand-ins with the names and results of ComfyUI 0.8.0; `calls` holds what they were told."""
    theirs = tmp_path / "elsewhere" / "emo"
    theirs.mkdir(parents=True)
    known = {"emo": ([str(theirs)], set())}
    calls = SimpleNamespace(done=[], texts=[], cancel=False, theirs=theirs, known=known)

    folder_paths: Any = ModuleType("folder_paths")
    folder_paths.models_dir = str(tmp_path / "models")
    folder_paths.folder_names_and_paths = known
    folder_paths.add_model_folder_path = lambda name, path, is_default: known[name][0].insert(0, path)
    folder_paths.get_folder_paths = lambda name: list(known[name][0])
    folder_paths.get_filename_list = lambda name: ["big.safetensors", "yunet_final.pth"]
    folder_paths.get_output_directory = lambda: str(tmp_path / "output")
    folder_paths.get_temp_directory = lambda: str(tmp_path / "temp")
    folder_paths.get_save_image_path = lambda prefix, base: (
        str(Path(base) / Path(prefix).parent), Path(prefix).name, 7, "", prefix
    )
    management: Any = ModuleType("comfy.model_management")
    management.get_torch_device = lambda: "the host's device"

    def throw() -> None:
        if calls.cancel:
            raise Cancelled

    management.throw_exception_if_processing_interrupted = throw
    utils: Any = ModuleType("comfy.utils")
    utils.ProgressBar = lambda total: SimpleNamespace(
        update_absolute=lambda done, total, preview: calls.done.append((done, preview))
    )
    options: Any = ModuleType("comfy.cli_args")
    options.LatentPreviewMethod = SimpleNamespace(NoPreviews="none")
    options.args = SimpleNamespace(preview_method="auto", preview_size=512, disable_metadata=False)
    calls.args = options.args
    server: Any = ModuleType("server")
    server.PromptServer = SimpleNamespace(
        instance=SimpleNamespace(send_progress_text=lambda text, node_id: calls.texts.append((node_id, text)))
    )
    latest: Any = ModuleType("comfy_api.latest")
    latest.InputImpl = SimpleNamespace(VideoFromFile=lambda path: ("VIDEO", path))
    packages = (ModuleType("comfy"), ModuleType("comfy_api"))
    for module in (*packages, folder_paths, management, utils, options, server, latest):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return calls


def test_the_model_folder_joins_those_of_the_user(comfyui, tmp_path):
    for _ in range(2):
        assert host.model_folders() == [tmp_path / "models" / "emo", comfyui.theirs]
    assert comfyui.known["emo"][1] >= {".safetensors"}
    assert not (tmp_path / "models").exists()


def test_models_are_listed_without_the_detector_and_found_in_any_folder(comfyui):
    assert host.model_files() == ["big.safetensors"]
    (comfyui.theirs / "yunet_final.pth").touch()
    assert host.find_model_file("yunet_final.pth") == comfyui.theirs / "yunet_final.pth"


def test_progress_goes_to_the_host_and_cancels(comfyui):
    report = host.progress(3, node_id="7")
    report(1, "clip 1 of 3")
    comfyui.cancel = True
    with pytest.raises(Cancelled):
        report(2)
    assert comfyui.done == [(1, None)] and comfyui.texts == [("7", "clip 1 of 3")]


def test_a_preview_is_made_only_where_the_user_wants_one(comfyui):
    made = []

    def picture():
        made.append(1)
        return torch.full((4, 6, 3), 0.5)

    report = host.progress(3)
    report(1, picture=picture)
    form, image, largest_side = comfyui.done[0][1]
    assert (form, image.size, image.getpixel((0, 0)), largest_side) == ("JPEG", (6, 4), (128, 128, 128), 512)
    comfyui.args.preview_method = "none"
    host.progress(3)(2, picture=picture)
    assert comfyui.done[1] == (2, None) and len(made) == 1


def test_the_graph_is_stored_unless_the_user_has_turned_that_off(comfyui):
    graph = ({"1": {}}, {"workflow": {"nodes": []}})
    assert host.workflow_metadata(*graph) == {"prompt": '{"1": {}}', "workflow": '{"nodes": []}'}
    assert host.workflow_metadata(None, None) == {}
    comfyui.args.disable_metadata = True
    assert host.workflow_metadata(*graph) == {}


def test_a_video_plays_in_the_block_and_goes_on_as_the_hosts_own(comfyui, tmp_path):
    path = host.output_path("video/EMO")
    assert path == tmp_path / "output" / "video" / "EMO_00007_.mp4"
    assert host.native_video(path) == ("VIDEO", str(path))
    shown = host.show_video(path, False, ("result",))
    entry = {"filename": "EMO_00007_.mp4", "subfolder": "video", "type": "output"}
    assert shown == {"ui": {"images": [entry], "animated": (True,)}, "result": ("result",)}
    temporary = host.show_video(host.output_path("EMO", temporary=True), True, ())
    assert temporary["ui"]["images"][0] == {"filename": "EMO_00007_.mp4", "subfolder": "", "type": "temp"}


def test_a_face_region_tells_the_page_what_it_found(comfyui, tmp_path, caplog):
    comfyui.known["emo"][0].append(str(tmp_path))
    (tmp_path / "temp").mkdir()
    run = NODE_CLASS_MAPPINGS["EMOFaceRegion"]().locate
    image = torch.rand(1, 48, 40, 3)
    output = run(image, 8, 10, 20, 24, -1, -1.0, -1.0, "stop")
    shown = output["ui"]
    assert shown["text"] == ["face by hand: 8,10,20,24"]
    assert shown["emo_face"] == [{"region": [8, 10, 20, 24], "picture": [40, 48], "assumed": False}]
    assert shown["emo_picture"] == [{"filename": "EMO_face_00007_.jpg", "subfolder": "", "type": "temp"}]
    with Image.open(tmp_path / "temp" / "EMO_face_00007_.jpg") as copy:
        assert copy.size == (40, 48)
    assert len(output["result"]) == 4
    fallback = run(image, 0, 0, 0, 0, -1, -1.0, -1.0, "take the middle of the picture")["ui"]
    assert "the middle of the picture is taken for the face" in fallback["text"][0]
    assert fallback["text"][0] in caplog.text and fallback["emo_face"][0]["assumed"]


def test_head_motion_gives_the_page_the_waveform_to_draw_over(comfyui):
    audio = {"waveform": torch.linspace(-1, 1, 8000).expand(1, 2, -1), "sample_rate": 16000}
    run = NODE_CLASS_MAPPINGS["EMOHeadMotion"]().choose
    (shown,) = run(None, "by curve", 0.5, audio, "[[0, 1]]")["ui"]["emo_waveform"]
    assert shown["duration_s"] == 0.5 and len(shown["peaks"]) <= 600
    assert shown["peaks"][0] == shown["peaks"][-1] == 1.0 and min(shown["peaks"]) < 0.01
    assert run(None, "by speed", 0.5)["ui"] == {}


def test_the_device_is_the_hosts(comfyui):
    assert host.compute_device() == "the host's device"


def test_without_a_host_models_lie_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert host.model_files() == []
    (tmp_path / "models" / "emo" / "mine").mkdir(parents=True)
    (tmp_path / "models" / "emo" / "mine" / "a.safetensors").touch()
    assert host.model_files() == ["mine/a.safetensors"]
