"""Runs of the graph that are stopped: queued again they go on, and give the same frames."""

import logging
import resource
import shutil
from pathlib import Path

import pytest
import torch

from comfyui_emo.errors import InputError
from comfyui_emo.models.checkpoints import emo
from comfyui_emo.models.checkpoints.weight_file import file_sha256
from comfyui_emo.steps import graph_video, latent_file, sampling
from comfyui_emo.steps.graph_runs import KEPT_RUNS, run_folder
from comfyui_emo.steps.resume import RunFolder
from comfyui_emo.steps.run_record import RUN_FILE
from comfyui_emo.steps.video_file import read_video

CLIPS = 4  # of 4 frames: 0.5 s at 25 fps are 13


class Stop(Exception):
    """Stands for whatever ends a run."""


@pytest.fixture
def parts(run, workplace, image, audio):
    model = run("EMOLoadModel", model_file="tiny.safetensors")[0]
    face = run("EMOFaceRegion", image=image, x=8, y=10, width=20, height=24)[0]
    reference, _ = run("EMOReferenceNet", model=model, image=image, face=face)
    voice = run("EMOEncodeAudio", model=model, audio=audio)[0]
    return {"model": model, "reference": reference, "voice": voice}


@pytest.fixture
def runs(workplace):
    """Names of the work folders that are kept."""
    folder = workplace / "user" / "__emo_runs"
    return lambda: sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def sampled(monkeypatch):
    """Numbers of the clips that were sampled, from 1, and where to stop: `sampled.stop_at = 3`."""

    class Clips(list):
        stop_at = None

    clips, real = Clips(), sampling.denoise_clip

    def denoise(*arguments):
        clips.append(len(clips) + 1)
        if len(clips) == clips.stop_at:
            raise Stop
        return real(*arguments)

    monkeypatch.setattr(sampling, "denoise_clip", denoise)
    return clips


def stop_sampling(run, parts, sampled, at: int, **changes):
    sampled.stop_at = at
    with pytest.raises(Stop):
        run("EMOSampler", **parts, **changes)
    sampled.stop_at = None
    sampled.clear()


@pytest.mark.parametrize("at", [2, 4])
def test_a_stopped_sampler_goes_on_after_the_last_whole_clip(run, parts, runs, sampled, caplog, at):
    whole = run("EMOSampler", **parts, seed=1)[0]
    whole["emo_run"].remove()
    assert runs() == []
    sampled.clear()
    stop_sampling(run, parts, sampled, at, seed=1)
    assert len(runs()) == 1
    with caplog.at_level(logging.INFO):
        again = run("EMOSampler", **parts, seed=1)[0]
    assert f"going on after clip {at - 1} of {CLIPS}" in caplog.text
    assert len(sampled) == CLIPS - (at - 1)
    assert torch.equal(again["samples"], whole["samples"])


def test_earlier_frames_are_gone_on_from_only_where_they_are_the_same(run, parts, sampled):
    first = run("EMOSampler", **parts)[0]
    earlier = {"earlier": {"samples": first["samples"]}}
    second = run("EMOSamplerAdvanced", **parts, **earlier)[0]["samples"]
    sampled.clear()
    assert torch.equal(run("EMOSamplerAdvanced", **parts, **earlier)[0]["samples"], second)
    assert not sampled
    other = run("EMOSamplerAdvanced", **parts, earlier={"samples": 2 * first["samples"]})[0]["samples"]
    assert len(sampled) == CLIPS and not torch.equal(other, second)


def test_another_seed_starts_afresh_says_so_and_leaves_the_other_run(run, parts, runs, sampled, caplog):
    stop_sampling(run, parts, sampled, 3, seed=1)
    with caplog.at_level(logging.INFO):
        run("EMOSampler", **parts, seed=2)
    assert len(sampled) == CLIPS
    assert "starting afresh: the 2 clips in " in caplog.text
    assert "were made with another seed; with that they go on" in caplog.text
    sampled.clear()
    run("EMOSampler", **parts, seed=1)
    assert len(sampled) == CLIPS - 2


def test_a_finished_run_is_kept_until_its_video_is_written(run, parts, runs, sampled, audio, monkeypatch):
    latent = run("EMOSampler", **parts)[0]
    vae = run("EMOLoadModel", model_file="tiny.safetensors")[1]
    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(graph_video, "write_joined", lambda *_: (_ for _ in ()).throw(Stop))
        run("EMOCombineVideo", latent=latent, vae=vae, audio=audio)
    assert len(runs()) == 2  # the clips, and the encoded frames
    sampled.clear()
    assert torch.equal(run("EMOSampler", **parts)[0]["samples"], latent["samples"]) and not sampled
    (path,) = run("EMOCombineVideo", latent=latent, vae=vae, audio=audio)
    assert runs() == []
    assert len(read_video(path).frames) == 13


def test_a_long_runs_latents_and_voice_lie_in_files_and_make_the_same_video(
    run, parts, runs, sampled, audio, workplace, monkeypatch
):
    vae = run("EMOLoadModel", model_file="tiny.safetensors")[1]
    held = run("EMOSampler", **parts)[0]
    (expected,) = run("EMOCombineVideo", latent=held, vae=vae, audio=audio)
    sampled.clear()
    monkeypatch.setattr(latent_file, "MOST_IN_MEMORY_BYTES", 0)
    voice = run("EMOEncodeAudio", model=parts["model"], audio=audio)[0]
    assert str(workplace) in Path("/proc/self/maps").read_text()
    assert torch.equal(voice.features, parts["voice"].features)
    parts["voice"] = voice
    stop_sampling(run, parts, sampled, 3)
    assert len(runs()) == 1  # the clips, and nothing beside them
    latent = run("EMOSampler", **parts)[0]
    assert len(sampled) == CLIPS - 2 and len(runs()) == 1
    assert str(workplace) in Path("/proc/self/maps").read_text()
    assert torch.equal(latent["samples"], held["samples"])
    assert torch.equal(vae.decode(latent["samples"]), vae.decode(held["samples"]))
    (path,) = run("EMOCombineVideo", latent=latent, vae=vae, audio=audio)
    assert (read_video(path).frames == read_video(expected).frames).all()
    assert runs() == []


def test_a_stopped_video_is_decoded_again_from_its_last_segment_on(
    run, workplace, runs, audio, monkeypatch, caplog
):
    monkeypatch.setattr(graph_video, "FRAMES_PER_SEGMENT", 16)
    samples = torch.rand(40, 4, 16, 16, generator=torch.Generator().manual_seed(0))

    class Vae:
        def __init__(self, stop_at=None):
            self.decoded, self.stop_at = [], stop_at

        def decode(self, part):
            if len(self.decoded) == self.stop_at:
                raise Stop
            self.decoded.append(len(part))
            return part[:, :3].movedim(1, 3).repeat_interleave(8, 1).repeat_interleave(8, 2)

    latent = {"samples": samples}
    (uncut,) = run("EMOCombineVideo", latent=latent, vae=Vae(), audio=audio)
    stopped, going_on = Vae(stop_at=3), Vae()
    with caplog.at_level(logging.INFO), pytest.raises(Stop):
        run("EMOCombineVideo", latent=latent, vae=stopped, audio=audio)
    assert stopped.decoded == [1, 16, 16]
    assert "2 of 3 segments are kept in " in caplog.text
    (path,) = run("EMOCombineVideo", latent=latent, vae=going_on, audio=audio)
    assert going_on.decoded == [1, 8]
    assert (read_video(path).frames == read_video(uncut).frames).all()
    assert runs() == []


def test_a_disk_too_full_for_the_video_leaves_none_and_keeps_the_run(
    run, parts, runs, audio, workplace, monkeypatch
):
    latent, vae = run("EMOSampler", **parts)[0], run("EMOLoadModel", model_file="tiny.safetensors")[1]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    real = graph_video.write_joined

    def join(*given):
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
        real(*given)

    with monkeypatch.context() as patch, pytest.raises(InputError, match="mp4 cannot be written: File too l"):
        patch.setattr(graph_video, "write_joined", join)
        try:
            run("EMOCombineVideo", latent=latent, vae=vae, audio=audio)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path for path in (workplace / "output").rglob("*") if path.is_file()] == []
    assert len(runs()) == 2  # the clips, and the encoded frames
    (path,) = run("EMOCombineVideo", latent=latent, vae=vae, audio=audio)
    assert len(read_video(path).frames) == 13 and runs() == []


def test_a_work_folder_that_vanishes_is_said_and_the_next_run_starts_anew(
    run, parts, runs, workplace, sampled, monkeypatch
):
    whole = run("EMOSampler", **parts)[0]["samples"]
    shutil.rmtree(workplace / "user")
    real = RunFolder.save_clip

    def save_clip(folder, latents, state):
        if state.clips_done == 3:
            shutil.rmtree(workplace / "user")
        real(folder, latents, state)

    with monkeypatch.context() as patch, pytest.raises(InputError, match="cannot be written: No such file"):
        patch.setattr(RunFolder, "save_clip", save_clip)
        run("EMOSampler", **parts)
    assert runs() == []
    assert torch.equal(run("EMOSampler", **parts)[0]["samples"], whole)


def test_the_credentials_of_sampled_latents_name_model_and_portrait(run, parts, audio, monkeypatch):
    seen = []
    real = graph_video.prepare_marks
    monkeypatch.setattr(graph_video, "prepare_marks", lambda *given: seen.append(given[1]) or real(*given))
    latent, (model, vae) = run("EMOSampler", **parts)[0], run("EMOLoadModel", model_file="tiny.safetensors")
    run("EMOCombineVideo", latent=latent, vae=vae, audio=audio)
    (origin,) = seen
    assert origin.model_sha256 == file_sha256(model.path) and origin.portrait_sha256 and origin.voice_sha256


def test_talk_goes_on_where_it_was_stopped(run, workplace, tiny_weights, image, audio, runs, sampled):
    real = emo.load_model
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(emo, "load_model", lambda: real(tiny_weights))
        sampled.stop_at = 3
        with pytest.raises(Stop):
            run("EMOTalk", image=image, audio=audio)
        sampled.stop_at = None
        sampled.clear()
        assert len(runs()) == 1
        (path,) = run("EMOTalk", image=image, audio=audio)
    assert len(sampled) == CLIPS - 2 and runs() == []
    assert len(read_video(path).frames) == 13


def test_only_so_many_runs_are_kept_and_none_that_is_in_use(tmp_path):
    used = run_folder(tmp_path, {"seed": "0"})
    with RunFolder(used, {"seed": "0"}, 1, 1) as busy:
        (used / "clip-000000.safetensors").write_bytes(b"")
        for seed in range(1, KEPT_RUNS + 2):
            folder = run_folder(tmp_path, {"seed": str(seed)})
            folder.mkdir()
            (folder / RUN_FILE).write_bytes((used / RUN_FILE).read_bytes())
        assert busy.path.exists()
        kept = {path.name for path in tmp_path.iterdir()}
    assert len(kept) == KEPT_RUNS + 1
