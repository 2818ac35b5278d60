"""`comfyui-emo talk` with the files of published families, small ones under their names, up to the mp4."""

import logging
import shutil

import numpy as np
import pytest
import torch
from families import FIXTURES, SMALL, load_module, write_published
from PIL import Image
from safetensors.torch import load_file
from small_families import SIDE_PX, shrink

from comfyui_emo.cli import main
from comfyui_emo.models.checkpoints.open_model import open_model
from comfyui_emo.models.checkpoints.tables import family_named
from comfyui_emo.steps import memory, published_memory
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


def test_of_two_autoencoders_in_a_repository_the_named_one_is_taken(tmp_path):
    write_published(tmp_path / "model", SMALL["echomimic"])
    (named,) = (tmp_path / "model" / "sd-vae-ft-mse").iterdir()
    other = tmp_path / "model" / "sd-image-variations-diffusers" / "vae" / "diffusion_pytorch_model.bin"
    other.parent.mkdir(parents=True)
    torch.save({name: value + 1 for name, value in load_file(named).items()}, other)
    model = open_model(tmp_path / "model")
    assert named in model.files and other not in model.files
    named.unlink()
    assert other in open_model(tmp_path / "model").files


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


def write_pose_model(folder) -> None:
    write_published(folder, SMALL["echomimic-pose"])
    for name in ("reference_unet", "denoising_unet", "motion_module"):
        plain = FIXTURES / "echomimic" / "weights" / f"{name}.safetensors"
        torch.save(load_file(plain), folder / f"{name}_pose.pth")


def test_a_model_that_wants_poses_is_refused_without_them_before_it_runs(talk, tmp_path, out_folder, capsys):
    write_pose_model(tmp_path / "model")
    assert talk(model=tmp_path / "model", steps=1) == 2
    text = capsys.readouterr().err
    assert "no drawn poses for echomimic-pose" in text and "--drawings" in text
    assert list(out_folder.iterdir()) == []


def test_drawn_poses_move_the_face_frame_by_frame(talk, tmp_path, out_folder):
    write_pose_model(tmp_path / "model")
    (tmp_path / "poses").mkdir()
    frames = {}
    for name, changed in (("a", None), ("b", 3)):
        for index in range(6):
            level = 255 if index == changed else 0
            Image.new("RGB", (90, 80), (level, 0, 0)).save(tmp_path / "poses" / f"{index}.png")
        path = out_folder / f"{name}.mp4"
        given = {"drawings": tmp_path / "poses", "no_marks": True, "out": path}
        assert talk(model=tmp_path / "model", steps=1, **given) == 0
        frames[name] = measured(path, 24.0).frames.astype(int)
    apart = abs(frames["a"] - frames["b"]).mean((1, 2, 3))
    assert apart.argmax() == 3 and apart[3] > 0


def test_key_points_move_v_express_and_a_stand_in_is_told(talk, tmp_path, out_folder, caplog, capsys):
    caplog.set_level(logging.INFO)
    write_published(tmp_path / "model", SMALL["v-express"])
    frames = {}
    for points in (None, "30,30,50,30,40,45", "35,30,55,30,45,45"):
        caplog.clear()
        given = {"key_points": points, "no_marks": True, "out": out_folder / "one.mp4"}
        assert talk(model=tmp_path / "model", steps=1, **given) == 0
        frames[points] = read_video(out_folder / "one.mp4").frames
        told = "no key points are given: eyes and nose are placed by the proportions" in caplog.text
        assert told == (points is None)
    assert len({value.tobytes() for value in frames.values()}) == 3
    (out_folder / "one.mp4").unlink()
    assert talk(model=tmp_path / "model", key_points="30,30,50,30") == 2
    assert "key points '30,30,50,30'" in capsys.readouterr().err and list(out_folder.iterdir()) == []


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


def test_a_machine_that_cannot_hold_the_weights_is_refused_before_they_are_read(
    talk, tmp_path, out_folder, monkeypatch, capsys
):
    write_published(tmp_path / "model", SMALL["hallo"])  # in float16, which a CPU computes in float32
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1_000_000)
    monkeypatch.setattr(published_memory, "free_bytes", lambda device: 1_000_000)
    assert talk(model=tmp_path / "model") == 2
    said = capsys.readouterr().err
    assert "0.00 GB of main memory free, for weights that take 0.04 GB" in said and "--dtype float16" in said
    assert talk(model=tmp_path / "model", dtype="float16") == 2
    assert "for a run that needs about" in capsys.readouterr().err  # the weights lie in the file
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
