"""`comfyui-emo talk`: the video it makes, what its options do, and how it stops."""

import re
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from comfyui_emo.commands import talk as talk_command
from comfyui_emo.models.checkpoints.emo import load_model
from comfyui_emo.steps import memory
from comfyui_emo.steps.face_region import FaceRegion
from comfyui_emo.steps.timeline import Timeline
from comfyui_emo.steps.video_file import read_video


def test_makes_a_video_as_long_as_the_voice(talk, out_folder, capsys):
    assert talk() == 0
    assert [path.name for path in out_folder.iterdir()] == ["talking.mp4"]
    video = read_video(out_folder / "talking.mp4")
    assert (video.frames.shape, video.fps) == ((6, 64, 64, 3), 25)
    assert video.voice.duration_s == pytest.approx(0.22, abs=0.03)
    output = capsys.readouterr()
    figures = r"0\.24 s, 6 frames at 25 fps, 64x64 pixels, 0\.\d\d MB, made in \d+\.\d s\n"
    assert re.fullmatch(f"{out_folder}/talking.mp4: {figures}", output.out)
    assert "clip 1 of 2, step 0 of 2   0%" in output.err
    assert "clip 2 of 2, step 2 of 2 100%" in output.err


def test_a_seed_decides_the_video(talk, out_folder, streams):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert talk(seed=seed, out=out_folder / f"{name}.mp4") == 0
    a, b, c = (out_folder / f"{name}.mp4" for name in "abc")
    assert streams(a) == streams(b)
    difference = read_video(a).frames.astype(int) - read_video(c).frames
    assert np.abs(difference).mean() > 1


def test_says_what_was_changed(talk, tmp_path, capsys):
    Image.new("RGBA", (90, 80), (200, 90, 90, 128)).save(tmp_path / "glass.png")
    assert talk(image=tmp_path / "glass.png", face="20,15,40,45") == 0
    said = capsys.readouterr().err
    assert "Warning: " in said and "glass.png has transparent parts: they are laid over white" in said
    assert "pixels around the face are enlarged to 64x64" in said
    assert "Note: computing on cpu" in said


def test_the_terms_are_shown_once_for_a_model(request_of, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COMFYUI_EMO_HOME", str(tmp_path / "home"))
    request_of()
    assert "Warning: terms of use of" in capsys.readouterr().err
    request_of()
    assert "terms of use" not in capsys.readouterr().err


@pytest.fixture
def request_of(talk, monkeypatch, out_folder):
    """The request that options make, without making the video."""

    def make(**options):
        requests = []

        def stand_in(model, request, output, *_):
            requests.append(request)
            output.touch()
            return Timeline(16000, 16000, 25, 4)

        monkeypatch.setattr(talk_command, "talk", stand_in)
        assert talk(**options) == 0
        return requests[0]

    return make


def test_what_is_not_given_comes_from_the_model(request_of):
    request = request_of()
    assert (request.fps, request.motion.speed, request.region) == (25, 0.5, FaceRegion(20, 15, 40, 45))
    sampling = request.sampling
    assert (sampling.steps, sampling.scheduler, sampling.voice_guidance, sampling.seed) == (2, "ddim", 1.5, 0)
    assert request.voice.sample_count == 3520


def test_every_option_reaches_the_request(request_of):
    request = request_of(
        speed=1.2, movement_margin=0.3, steps=5, guidance=2, scheduler="unipc", seed=9, fps="30000/1001",
        face="10,10,50,50", start=0.05, duration=0.1, pose_noise=0.9,
    )  # fmt: skip
    assert (request.motion.speed, request.motion.margin) == (1.2, 0.3)
    sampling = request.sampling
    assert (sampling.steps, sampling.scheduler, sampling.voice_guidance, sampling.seed) == (5, "unipc", 2, 9)
    assert sampling.pose_noise_scale == 0.9
    assert Timeline(16000, 16000, request.fps, 4).fps == Fraction(30000, 1001)
    assert request.region == FaceRegion(10, 10, 50, 50)
    assert request.voice.sample_count == 1600


def test_a_style_is_a_speed_of_the_model(request_of):
    assert request_of(style="calm").motion.speed == 0.2


def test_a_mask_is_a_region(request_of, tmp_path):
    mask = np.zeros((80, 90), np.uint8)
    mask[10:40, 30:70] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    assert request_of(mask=tmp_path / "mask.png").region == FaceRegion(30, 10, 40, 30)


# --- memory ---


def test_a_device_without_the_memory_is_refused_before_anything_is_sampled(
    talk, out_folder, monkeypatch, capsys
):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1_000_000)
    assert talk() == 2
    said = capsys.readouterr().err
    assert "0.00 GB free on cpu, for a run that needs about 0.07 GB there" in said
    assert "step 1" not in said
    assert list(out_folder.iterdir()) == []


def test_with_little_memory_fewer_frames_are_decoded_at_once(
    talk, model_path, out_folder, monkeypatch, capsys
):
    assert talk(out=out_folder / "a.mp4") == 0
    need = memory.estimate_memory(load_model(model_path).config, True)
    need = memory.MemoryNeed(need.weights, need.clip, 10 * need.decode_frame)
    monkeypatch.setattr(memory, "estimate_memory", lambda *_: need)
    monkeypatch.setattr(memory, "free_bytes", lambda device: need.beside_weights(2))
    assert talk(out=out_folder / "b.mp4") == 0
    assert "free on cpu: frames are decoded 2 at a time" in capsys.readouterr().err
    a, b = (read_video(out_folder / name).frames.astype(int) for name in ("a.mp4", "b.mp4"))
    assert np.abs(a - b).max() <= 3
