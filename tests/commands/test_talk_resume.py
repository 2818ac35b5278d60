"""`comfyui-emo talk` that is stopped: what it leaves, and that the same command makes the same video."""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from comfyui_emo.steps import talk as talk_step
from comfyui_emo.steps import video_segments
from comfyui_emo.steps.resume import RunFolder
from comfyui_emo.steps.video_file import read_video

CLIPS = 10  # of 4 frames, in segments of 3 clips
VOICE_S = 1.56
KILLS = 20


@pytest.fixture(autouse=True)
def short_segments(monkeypatch):
    monkeypatch.setattr(video_segments, "KEY_FRAME_DISTANCE", 12)


@pytest.fixture
def long_voice(wav_of) -> Path:
    """39 frames at 25 fps: 10 clips of the tiny model, the last one cut."""
    return wav_of("long.wav", VOICE_S)


@pytest.fixture
def stopped(talk, long_voice):
    """Run `talk` until so many clips are decoded, and stop it there."""

    def run(decoded: int, error: type[BaseException] = KeyboardInterrupt, **options) -> int:
        real, clips = talk_step.decode_clip, []

        def decode(networks, latents, frames_at_once):
            clips.append(latents)
            if len(clips) > decoded:
                raise error
            return real(networks, latents, frames_at_once)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(talk_step, "decode_clip", decode)
            return talk(audio=long_voice, **options)

    return run


@pytest.fixture
def uncut(talk, long_voice, tmp_path) -> Path:
    """The video of a run that nothing stops."""
    assert talk(audio=long_voice, out=tmp_path / "uncut.mp4") == 0
    return tmp_path / "uncut.mp4"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("decoded", [0, 2, 3, 8, 9])
def test_the_same_command_goes_on_and_makes_the_same_file(
    streams, talk, stopped, long_voice, uncut, out_folder, capsys, decoded
):
    out, work = out_folder / "talking.mp4", out_folder / "talking.mp4.work"
    out.write_text("older")
    assert stopped(decoded) == 130
    said = capsys.readouterr().err
    assert f"{decoded + 1} of {CLIPS} clips are kept in {work}: the same call goes on after them" in said
    assert said.endswith("Stopped. No half-made file is left behind.\n")
    assert out.read_text() == "older"
    assert names(out_folder) == [out.name, work.name]
    assert talk(audio=long_voice) == 0
    said = capsys.readouterr().err
    assert f"going on after clip {decoded + 1} of {CLIPS}, from {work}" in said
    assert f"clip 1 of {CLIPS}, step 1" not in said
    assert streams(out) == streams(uncut)
    assert names(out_folder) == [out.name]


def test_other_settings_start_afresh_and_the_message_says_which(talk, stopped, long_voice, uncut, capsys):
    assert stopped(4) == 130
    assert talk(audio=long_voice, seed=5, steps=1) == 0
    said = capsys.readouterr().err
    assert "starting afresh: the 5 clips in " in said
    assert "are dropped, they were made with another seed, another steps" in said
    assert "going on" not in said


def test_a_newer_pack_starts_afresh(talk, stopped, long_voice, monkeypatch, capsys):
    assert stopped(4) == 130
    monkeypatch.setattr(talk_step, "pack_version", lambda: "99.0")
    assert talk(audio=long_voice) == 0
    assert "they were made with another version of this pack, torch or FFmpeg" in capsys.readouterr().err


@pytest.mark.parametrize("change", ["voice", "portrait", "model"])
def test_a_file_of_the_same_name_and_other_content_starts_afresh(
    talk, stopped, long_voice, wav_of, portrait_path, model_path, tmp_path, capsys, change
):
    model = shutil.copy(model_path, tmp_path / "model.safetensors")
    assert stopped(4, model=model) == 130
    if change == "voice":
        content = bytearray(long_voice.read_bytes())
        content[-100] ^= 1
        long_voice.write_bytes(content)
    elif change == "portrait":
        from PIL import Image

        with Image.open(portrait_path) as picture:
            picture.putpixel((3, 3), (1, 2, 3))
            picture.save(portrait_path)
    else:
        content = bytearray(model.read_bytes())
        content[-2] ^= 1
        model.write_bytes(content)
    assert talk(audio=long_voice, model=model, face="20,15,40,45") == 0
    assert f"they were made with another {change}\n" in capsys.readouterr().err


def test_starting_afresh_when_wanted(streams, talk, stopped, long_voice, uncut, out_folder, capsys):
    assert stopped(4) == 130
    assert talk(audio=long_voice, fresh=True) == 0
    assert "starting afresh: the 5 clips in " in capsys.readouterr().err
    assert streams(out_folder / "talking.mp4") == streams(uncut)


def test_a_work_folder_of_ones_own(streams, talk, stopped, long_voice, uncut, out_folder, tmp_path):
    assert stopped(4, work_folder=tmp_path / "mine") == 130
    assert names(out_folder) == []
    assert talk(audio=long_voice, work_folder=tmp_path / "mine") == 0
    assert streams(out_folder / "talking.mp4") == streams(uncut)
    assert not (tmp_path / "mine").exists()


def test_a_folder_with_other_things_in_it_is_refused_and_left_alone(talk, tmp_path, out_folder, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    assert talk(work_folder=tmp_path / "mine") == 2
    assert "mine with other files in it: letter.txt" in capsys.readouterr().err
    assert (names(tmp_path / "mine"), names(out_folder)) == (["letter.txt"], [])


def test_a_stop_before_the_first_clip_leaves_nothing(talk, out_folder, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(talk_step, "run_reference_net", stop)
    assert talk() == 130
    assert names(out_folder) == []


# --- disks and folders that fail ---


def test_a_disk_that_fills_up_is_said_and_the_run_goes_on_later(
    streams, talk, long_voice, uncut, out_folder, capsys, monkeypatch
):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    real = RunFolder.save_clip

    def save_clip(self, latents, state):
        if state.clips_done == 6:
            resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
        real(self, latents, state)

    monkeypatch.setattr(RunFolder, "save_clip", save_clip)
    try:
        assert talk(audio=long_voice) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        monkeypatch.setattr(RunFolder, "save_clip", real)
    said = capsys.readouterr().err
    assert "clip-000005.safetensors cannot be written: File too large" in said
    assert "5 of 10 clips are kept in" in said
    assert names(out_folder) == ["talking.mp4.work"]
    assert talk(audio=long_voice) == 0
    assert streams(out_folder / "talking.mp4") == streams(uncut)


@pytest.mark.parametrize("limit", [40, 2000, 4000])
def test_a_disk_too_full_for_the_joined_file(
    streams, talk, long_voice, uncut, out_folder, capsys, monkeypatch, limit
):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    real = video_segments.join_segments

    def join(*arguments):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        real(*arguments)

    monkeypatch.setattr(video_segments, "join_segments", join)
    try:
        assert talk(audio=long_voice) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        monkeypatch.setattr(video_segments, "join_segments", real)
    assert "talking.mp4 cannot be written: " in capsys.readouterr().err
    assert names(out_folder) == ["talking.mp4.work"]
    assert talk(audio=long_voice) == 0
    assert "going on after clip 10 of 10" in capsys.readouterr().err
    assert streams(out_folder / "talking.mp4") == streams(uncut)


@pytest.mark.parametrize("vanishing", ["out", "mine"])
def test_a_folder_that_vanishes_is_said(
    talk, long_voice, tmp_path, out_folder, capsys, monkeypatch, vanishing
):
    real = RunFolder.save_clip

    def save_clip(self, latents, state):
        if state.clips_done == 5:
            shutil.rmtree(tmp_path / vanishing)
        real(self, latents, state)

    monkeypatch.setattr(RunFolder, "save_clip", save_clip)
    assert talk(audio=long_voice, work_folder=tmp_path / "mine") == 2
    assert "cannot be written: No such file or directory" in capsys.readouterr().err
    if vanishing == "out":
        monkeypatch.setattr(RunFolder, "save_clip", real)
        out_folder.mkdir()
        assert talk(audio=long_voice, work_folder=tmp_path / "mine") == 0
        assert "going on after clip 10 of 10" in capsys.readouterr().err


# --- kill -9 ---

# Loads everything once. For every line "<seconds>" it forks a run of the command line, kills it after that
# time, and answers with its exit status (-9 if it was killed in time) and how many clips it began to sample.
FORK_SERVER = """
import os, signal, sys, time
from comfyui_emo import cli
from comfyui_emo.commands import talk
from comfyui_emo.models.checkpoints.emo import load_model
from comfyui_emo.steps import memory, sampling, video_segments
from pathlib import Path
video_segments.KEY_FRAME_DISTANCE = 12
denoise = sampling.denoise_clip
def counted(*arguments):
    os.write(writer, b".")
    return denoise(*arguments)
sampling.denoise_clip = counted
# Looked up once for all runs.
memory.estimate_memory(load_model(Path(sys.argv[1])).config, True)
for line in sys.stdin:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os._exit(cli.main(sys.argv[2:]))
    os.close(writer)
    deadline = time.monotonic() + float(line)
    ended, status = os.waitpid(child, os.WNOHANG)
    while not ended and time.monotonic() < deadline:
        time.sleep(0.002)
        ended, status = os.waitpid(child, os.WNOHANG)
    if not ended:
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    print(os.waitstatus_to_exitcode(status), len(os.read(reader, 1000)), flush=True)
    os.close(reader)
"""


@pytest.fixture
def run_for(model_path, portrait_path, long_voice, out_folder):
    """Run the command line in a process of its own for so many seconds: (exit status, clips begun)."""
    command = ["talk", "--model", model_path, "--image", portrait_path, "--audio", long_voice]
    command += ["--device", "cpu", "--out", out_folder / "talking.mp4"]
    server = subprocess.Popen(
        [sys.executable, "-c", FORK_SERVER, str(model_path), *map(str, command)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip

    def run(seconds: float) -> tuple[int, int]:
        server.stdin.write(f"{seconds}\n")
        server.stdin.flush()
        status, begun = server.stdout.readline().split()
        return int(status), int(begun)

    yield run
    server.stdin.close()
    assert server.wait(60) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork to start many runs quickly")
def test_killed_at_random_moments_it_makes_the_same_file_and_loses_a_clip_at_most(
    streams, run_for, uncut, out_folder
):
    out, work = out_folder / "talking.mp4", out_folder / "talking.mp4.work"
    started_s = time.monotonic()
    assert run_for(60) == (0, CLIPS)
    whole_s = time.monotonic() - started_s
    moments, kills = random.Random(0), 0
    while kills < KILLS:
        out.unlink()
        status, begun, kills_before, videos = -signal.SIGKILL, 0, kills, 1
        while status != 0:
            status, clips = run_for(moments.uniform(0, 0.8 * whole_s) if kills < KILLS else 60)
            begun += clips
            if status != 0:
                assert status == -signal.SIGKILL
                kills += 1
                # Killed between the file's naming and the end, it is there already, and the next is another.
                assert not out.exists() or streams(out) == streams(uncut)
                videos += out.exists()
        assert begun <= CLIPS * videos + kills - kills_before
        assert streams(out) == streams(uncut)
        assert names(out_folder) == [out.name] and not work.exists()


def test_a_killed_process_of_its_own(talk, model_path, portrait_path, long_voice, uncut, out_folder, capsys):
    out, work = out_folder / "talking.mp4", out_folder / "talking.mp4.work"
    command = ["--model", model_path, "--image", portrait_path, "--audio", long_voice, "--out", out]
    process = subprocess.Popen(
        [sys.executable, "-m", "comfyui_emo", "talk", *map(str, command), "--device", "cpu"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list(work.glob("clip-*")) and time.monotonic() < deadline:
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert names(out_folder) == [work.name]
    assert talk(audio=long_voice) == 0
    assert "going on after clip " in capsys.readouterr().err
    assert len(read_video(out).frames) == 39


def test_two_runs_at_once_in_one_folder_are_refused(talk, stopped, out_folder, capsys):
    assert stopped(4) == 130
    work = out_folder / "talking.mp4.work"
    with RunFolder(work, {}, CLIPS, 3):
        assert talk() == 2
    assert "talking.mp4.work, which another run is using" in capsys.readouterr().err
