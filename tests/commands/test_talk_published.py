"""`comfyui-emo talk` with the files of published families, small ones under their names, up to the mp4."""

import shutil

import numpy as np
import pytest
import torch
from families import FIXTURES, SMALL, load_module, write_published
from safetensors.torch import load_file
from small_families import SIDE_PX, shrink

from comfyui_emo.cli import main
from comfyui_emo.models.checkpoints.tables import family_named
from comfyui_emo.steps import memory
from comfyui_emo.steps.marking.verify import verify_file
from comfyui_emo.steps.video_file import read_video

VOICE_S = 0.22


@pytest.fixture(autouse=True)
def _small_files_are_the_published_ones(monkeypatch):
    shrink(load_module, monkeypatch.setattr)


def measured(path, fps: float):
    video = read_video(path)
    assert float(video.fps) == fps and video.frames.shape[1:] == (SIDE_PX, SIDE_PX, 3)
    assert abs(len(video.frames) / fps - VOICE_S) <= 1 / fps
    assert abs(video.voice.duration_s - VOICE_S) < 1e-3
    assert video.frames.std() > 1
    return video


@pytest.mark.parametrize("name", ["hallo", "echomimic", "echomimic-acc", "v-express"])
def test_a_folder_of_published_files_makes_a_video(talk, tmp_path, out_folder, caplog, name):
    write_published(tmp_path / "model", SMALL[name])
    assert talk(model=tmp_path / "model", steps=1) == 0
    measured(out_folder / "talking.mp4", SMALL[name].config.defaults.fps)
    assert [path.name for path in out_folder.iterdir()] == ["talking.mp4"]
    published = family_named(name)
    assert f"licence of the weights: {published.licence}" in caplog.text
    defaults = published.config.defaults
    assert f"{defaults.steps} steps of ddim, guidance {defaults.voice_guidance:g}, " in caplog.text
    assert verify_file(out_folder / "talking.mp4").verdict == "marked"


def test_a_converted_file_speaks_with_what_lies_beside_it(talk, tmp_path, out_folder):
    write_published(tmp_path / "model", SMALL["echomimic-acc"])
    files = [str(path) for path in (tmp_path / "model").glob("*.pth")]
    one = tmp_path / "model" / "echomimic.safetensors"
    assert main(["convert", *files, "--family", "echomimic-acc", "--out", str(one)]) == 0
    assert talk(model=tmp_path / "model", family="echomimic-acc", steps=1, no_marks=True) == 0
    from_folder = measured(out_folder / "talking.mp4", 24.0)
    assert talk(model=one, steps=1, no_marks=True, out=out_folder / "other.mp4") == 0
    assert (measured(out_folder / "other.mp4", 24.0).frames == from_folder.frames).all()


def test_a_voice_too_long_for_the_memory_is_refused_before_it_is_encoded(
    talk, tmp_path, out_folder, monkeypatch, capsys
):
    write_published(tmp_path / "model", SMALL["hallo"])
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1000)
    assert talk(model=tmp_path / "model", steps=1) == 2
    said = capsys.readouterr().err
    assert "0.00 GB free on cpu, for a run that needs about" in said and "s of voice" in said
    assert "step 1" not in said and list(out_folder.iterdir()) == []


def test_what_the_model_lacks_is_listed_all_at_once(talk, tmp_path, out_folder, capsys):
    write_published(tmp_path / "model", SMALL["hallo"])
    for folder in ("sd-vae-ft-mse", "wav2vec2-base-960h"):
        shutil.rmtree(tmp_path / "model" / folder)
    assert talk(model=tmp_path / "model", steps=1) == 2
    text = capsys.readouterr().err
    assert "sd-vae-ft-mse (MIT) from https" in text and "wav2vec2-base-960h (Apache-2.0) from https" in text
    assert list(out_folder.iterdir()) == []


def test_files_that_no_model_needs_are_left_aside(talk, tmp_path, out_folder):
    write_published(tmp_path / "model", SMALL["hallo"])
    (tmp_path / "model" / "other").mkdir()
    torch.save({"params_ema": {"body": torch.zeros(2)}}, tmp_path / "model" / "other" / "upscaler.pth")
    (tmp_path / "model" / "half.ckpt").write_bytes(b"PK\x03\x04 half a file")
    assert talk(model=tmp_path / "model", steps=1) == 0
    measured(out_folder / "talking.mp4", 25.0)


def test_a_half_downloaded_file_of_the_model_is_named(talk, tmp_path, out_folder, capsys):
    write_published(tmp_path / "model", SMALL["hallo"])
    net = tmp_path / "model" / "net.pth"
    net.write_bytes(net.read_bytes()[: net.stat().st_size // 2])
    assert talk(model=tmp_path / "model") == 2
    text = capsys.readouterr().err
    assert "net.pth" in text and "half-downloaded" in text and list(out_folder.iterdir()) == []


def test_two_models_in_a_folder_want_a_choice(talk, tmp_path, capsys):
    write_published(tmp_path / "model", SMALL["echomimic"])
    for name in ("denoising_unet", "motion_module"):
        shutil.copy(tmp_path / "model" / f"{name}.pth", tmp_path / "model" / f"{name}_acc.pth")
    assert talk(model=tmp_path / "model") == 2
    assert "--family" in (text := capsys.readouterr().err) and "echomimic, echomimic-acc" in text


def test_a_model_that_wants_poses_is_refused_before_it_runs(talk, tmp_path, out_folder, capsys):
    write_published(tmp_path / "model", SMALL["echomimic-pose"])
    for name in ("reference_unet", "denoising_unet", "motion_module"):
        plain = FIXTURES / "echomimic" / "weights" / f"{name}.safetensors"
        torch.save(load_file(plain), tmp_path / "model" / f"{name}_pose.pth")
    assert talk(model=tmp_path / "model", steps=1) == 2
    assert "wants a drawn pose for every frame" in capsys.readouterr().err
    assert list(out_folder.iterdir()) == []


def test_a_face_embedding_is_heard_by_hallo(talk, tmp_path, out_folder):
    write_published(tmp_path / "model", SMALL["hallo"])
    np.save(tmp_path / "face.npy", np.random.default_rng(0).normal(size=16))
    np.save(tmp_path / "nobody.npy", np.zeros((1, 16)))
    frames = {}
    for name in (None, "nobody.npy", "face.npy"):
        path = out_folder / f"{name}.mp4"
        given = None if name is None else tmp_path / name
        assert talk(model=tmp_path / "model", steps=1, no_marks=True, face_embedding=given, out=path) == 0
        frames[name] = read_video(path).frames
    assert (frames["nobody.npy"] == frames[None]).all()
    assert (frames["face.npy"] != frames[None]).any()


def test_a_face_embedding_of_another_shape_is_refused_before_it_runs(talk, tmp_path, out_folder, capsys):
    write_published(tmp_path / "model", SMALL["hallo"])
    np.save(tmp_path / "face.npy", np.ones(512))
    assert talk(model=tmp_path / "model", face_embedding=tmp_path / "face.npy") == 2
    text = capsys.readouterr().err
    assert "a face embedding of shape [1, 512] for hallo" in text and "[16] or [1, 16]" in text
    assert "insightface" in text and list(out_folder.iterdir()) == []


@pytest.mark.parametrize("name", ["v-express", None])
def test_a_model_without_identity_projection_takes_no_embedding(talk, tmp_path, out_folder, capsys, name):
    given = {}
    if name is not None:
        write_published(tmp_path / "model", SMALL[name])
        given["model"] = tmp_path / "model"
    np.save(tmp_path / "face.npy", np.ones(512))
    assert talk(**given, face_embedding=tmp_path / "face.npy") == 2
    text = capsys.readouterr().err
    assert f"a face embedding for {name or 'tiny'}, which has no identity projection" in text
    assert list(out_folder.iterdir()) == []


def test_a_device_without_the_memory_is_refused_before_anything_is_sampled(
    talk, tmp_path, out_folder, monkeypatch, capsys
):
    write_published(tmp_path / "model", SMALL["echomimic"])
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1_000_000)
    assert talk(model=tmp_path / "model") == 2
    said = capsys.readouterr().err
    assert "0.00 GB free on cpu, for a run that needs about " in said and "for 0 s of voice" in said
    assert "step 1" not in said and list(out_folder.iterdir()) == []
