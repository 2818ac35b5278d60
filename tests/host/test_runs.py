"""Prompts queued over a real host's API: the files they leave, caching, cancelling, memory."""

import io
import json
import time
from pathlib import Path

import av
import pytest
from host.events import Events
from host.graphs import (
    PORTRAIT,
    STEREO,
    VOICE,
    VOICE_S,
    fill_input_folder,
    latent_prompt,
    paste_prompt,
    talk_prompt,
)
from PIL import Image

from comfyui_emo.steps.video_file import Video, read_video

FRAME_S = 1 / 25
# The networks take 38 MiB; kept after each of three rounds they would be twice this margin.
MEMORY_MARGIN_BYTES = 56 * 2**20


@pytest.fixture(autouse=True)
def inputs(comfy):
    fill_input_folder(comfy.input_folder)
    before = set(comfy.input_folder.iterdir())
    yield
    assert set(comfy.input_folder.iterdir()) == before


def succeeded(outcome):
    assert outcome.status == "success", outcome.messages
    return outcome


def video_of(host, outcome, node: str) -> Path:
    (entry,) = outcome.outputs[node]["images"]
    return host.file(entry)


def measured(path: Path, width_px: int = 128, height_px: int = 128) -> Video:
    """The video, once it is known to last as long as the voice and to hold pictures and sound."""
    video = read_video(path)
    assert video.fps == 25 and video.frames.shape[1:] == (height_px, width_px, 3)
    assert abs(len(video.frames) / 25 - VOICE_S) <= FRAME_S
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        for stream in container.streams:
            assert abs(float(stream.duration * stream.time_base) - VOICE_S) <= FRAME_S
    assert video.voice.samples.std() > 0.01
    assert video.frames.std() > 10
    return video


def check_metadata(metadata: dict[str, str], prompt: dict, workflow: dict) -> None:
    stored = json.loads(metadata["prompt"])
    for node in stored.values():
        node.pop("is_changed", None)  # the host's own note on a file it has read
    assert stored == prompt and json.loads(metadata["workflow"]) == workflow
    assert "Synthetic media" in metadata["comment"]


def test_talk_gives_a_video_as_long_as_the_voice_with_the_graph_inside(comfy):
    prompt, workflow = talk_prompt(), {"nodes": [{"id": 7}]}
    outcome = succeeded(comfy.run(prompt, extra_data={"extra_pnginfo": {"workflow": workflow}}))
    shown, saved = video_of(comfy, outcome, "talk"), video_of(comfy, outcome, "save")
    assert comfy.base / "temp" in shown.parents and comfy.base / "output" in saved.parents
    again = measured(saved)
    check_metadata(again.metadata, prompt, workflow)
    # Save Video has taken the frames as they are: encoded a second time they would not be the same.
    assert (again.frames == measured(shown).frames).all()


def test_all_blocks_decode_their_latents_into_the_file(comfy):
    prompt, workflow = latent_prompt(), {"nodes": []}
    outcome = succeeded(comfy.run(prompt, extra_data={"extra_pnginfo": {"workflow": workflow}}))
    check_metadata(measured(video_of(comfy, outcome, "video")).metadata, prompt, workflow)


def test_the_animated_part_is_pasted_back_by_way_of_the_hosts_vae_decode(comfy):
    outcome = succeeded(comfy.run(paste_prompt()))
    with Image.open(comfy.input_folder / PORTRAIT) as picture:
        measured(video_of(comfy, outcome, "video"), *picture.size)


def test_a_second_run_is_served_from_the_cache_and_a_new_seed_runs_the_sampler_alone(comfy):
    prompt = latent_prompt(seed=11)
    succeeded(comfy.run(prompt))
    assert succeeded(comfy.run(prompt)).cached == set(prompt)
    other = succeeded(comfy.run(latent_prompt(seed=12)))
    assert other.cached == set(prompt) - {"sampler", "video"}


def test_stereo_sound_at_96_khz_is_taken(comfy):
    outcome = succeeded(comfy.run(latent_prompt(voice=STEREO)))
    measured(video_of(comfy, outcome, "video"))


def test_progress_texts_and_previews_reach_the_page(comfy):
    prompt = latent_prompt(seed=21)
    with Events(comfy.url, "watcher") as events:
        run = comfy.queue(prompt, client_id="watcher", extra_data={"preview_method": "auto"})
        seen = list(events.of(run))
    succeeded(comfy.wait(run))
    steps = [event.data for event in seen if event.kind == "progress" and event.data["node"] == "sampler"]
    assert [(step["value"], step["max"]) for step in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    texts = [event.data["text"] for event in seen if event.kind == "text"]
    assert texts[0] == "clip 1 of 2, step 1 of 2" and texts[3] == "clip 2 of 2, step 2 of 2"
    previews = [event.data for event in seen if event.kind == "preview"]
    assert len(previews) == 4
    with Image.open(io.BytesIO(previews[-1])) as picture:
        assert picture.size == (512, 512)  # as the host shows it


@pytest.mark.parametrize("simple", [True, False], ids=["EMOTalk", "EMOSampler"])
def test_cancelling_ends_the_run_within_a_step_and_leaves_no_file(comfy, simple):
    fill_input_folder(comfy.input_folder)
    before = comfy.files()
    prompt = talk_prompt(voice=STEREO) if simple else latent_prompt(seed=31, steps=200)
    after = 0
    with Events(comfy.url, "canceller") as events:
        run, asked = comfy.queue(prompt, client_id="canceller"), False
        for event in events.of(run):
            if event.kind == "progress" and event.data["node"] in ("talk", "sampler"):
                if asked:
                    after += 1
                else:
                    comfy.post("/interrupt", {})
                    asked = True
    outcome = comfy.wait(run)
    assert asked and outcome.interrupted and outcome.status == "error"
    assert after <= 1  # the step that was under way when the request came
    assert comfy.files() == before
    succeeded(comfy.run(latent_prompt(seed=32)))


def resident_bytes(host) -> int:
    """Memory of the host's process once it has put away what it can."""
    host.post("/free", {"unload_models": True, "free_memory": True})
    seen = []
    for _ in range(6):
        time.sleep(0.5)
        status = Path(f"/proc/{host.process_id}/status").read_text()
        seen.append(next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")))
    return min(seen) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to read a process's memory from")
def test_two_prompts_in_a_row_leave_memory_as_it_was(comfy):
    resident = []
    for seed in range(41, 46):
        succeeded(comfy.run(latent_prompt(seed=seed)))
        succeeded(comfy.run(paste_prompt(seed=-seed % 1000)))
        resident.append(resident_bytes(comfy))
    # The first rounds fill the libraries' own caches.
    assert resident[-1] - resident[1] < MEMORY_MARGIN_BYTES, resident


def test_no_graph_is_stored_where_the_user_has_turned_that_off(start_host):
    host = start_host("--disable-metadata")
    fill_input_folder(host.input_folder)
    pnginfo = {"extra_pnginfo": {"workflow": {"nodes": []}}}
    for prompt, node in ((talk_prompt(VOICE), "save"), (latent_prompt(), "video")):
        outcome = succeeded(host.run(prompt, extra_data=pnginfo))
        metadata = measured(video_of(host, outcome, node)).metadata
        assert not {"prompt", "workflow"} & set(metadata)
        assert "Synthetic media" in metadata["comment"]
