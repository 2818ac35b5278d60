"""`comfyui-emo talk` with published families, stopped and gone on with: the same video, little done twice."""

import os
import signal

import pytest
from families import SMALL, load_module, write_published
from small_families import shrink

from comfyui_emo.steps import published_sampling, resume, video_segments, windows
from comfyui_emo.steps import talk as talk_step

STEPS = 3


@pytest.fixture(autouse=True)
def small_models_and_short_segments(monkeypatch):
    shrink(load_module, monkeypatch.setattr)
    monkeypatch.setattr(video_segments, "KEY_FRAME_DISTANCE", 4)


@pytest.fixture
def model(tmp_path):
    """Write a family's files; gives the options that use them."""

    def write(name: str) -> dict:
        write_published(tmp_path / name, SMALL[name])
        return {"model": tmp_path / name, "steps": STEPS}

    return write


@pytest.fixture
def uncut(talk, tmp_path):
    """The video of a run that nothing stops."""

    def run(**options):
        assert talk(**options, out=tmp_path / "uncut.mp4") == 0
        return tmp_path / "uncut.mp4"

    return run


def stop_at(patch: pytest.MonkeyPatch, module, name: str, call: int) -> list:
    """Let the n-th call of a function (from 1) press Ctrl-C; gives the calls."""
    real, calls = getattr(module, name), []

    def counted(*given, **named):
        calls.append(given)
        if len(calls) == call:
            raise KeyboardInterrupt
        return real(*given, **named)

    patch.setattr(module, name, counted)
    return calls


@pytest.mark.parametrize(("stage", "done"), [("denoise_halves", 1), ("decode_clip", 2)])
def test_hallo_goes_on_after_its_last_clip(
    talk, model, uncut, streams, out_folder, capsys, monkeypatch, stage, done
):
    options = model("hallo")  # 2 clips of 4 frames
    whole = uncut(**options)
    with monkeypatch.context() as patch:
        stop_at(patch, published_sampling if stage == "denoise_halves" else talk_step, stage, 2)
        assert talk(**options) == 130
    assert f"{done} of 2 clips are kept in" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        sampled = stop_at(patch, published_sampling, "denoise_halves", 0)
        assert talk(**options) == 0
    assert len(sampled) == 2 - done
    assert f"going on after clip {done} of 2" in capsys.readouterr().err
    assert streams(out_folder / "talking.mp4") == streams(whole)
    assert [path.name for path in out_folder.iterdir()] == ["talking.mp4"]


@pytest.mark.parametrize(
    ("name", "scheduler", "stopped_in"),
    [("echomimic", "ddim", 2), ("echomimic", "dpm++", 2), ("v-express", "ddim", 2)],
)
def test_windows_go_on_after_their_last_step(
    talk, model, uncut, streams, out_folder, capsys, monkeypatch, name, scheduler, stopped_in
):
    options = {**model(name), "scheduler": scheduler}
    whole = uncut(**options)
    with monkeypatch.context() as patch:
        stop_at(patch, windows, "frame_windows", stopped_in)
        assert talk(**options) == 130
    said = capsys.readouterr().err
    assert f"{stopped_in - 1} steps and 0 of " in said and "clips are kept in" in said
    (kept,) = (out_folder / "talking.mp4.work").glob("steps-*")
    assert kept.name == f"steps-{stopped_in - 1:06}.safetensors"
    with monkeypatch.context() as patch:
        again = stop_at(patch, windows, "frame_windows", 0)
        assert talk(**options) == 0
    assert len(again) == STEPS - (stopped_in - 1)
    assert f"going on after step {stopped_in - 1}, from" in capsys.readouterr().err
    assert streams(out_folder / "talking.mp4") == streams(whole)
    assert [path.name for path in out_folder.iterdir()] == ["talking.mp4"]


def test_decoding_goes_on_after_the_last_segment(
    talk, model, uncut, streams, out_folder, capsys, monkeypatch
):
    options = model("echomimic")  # 6 frames in segments of 4
    whole = uncut(**options)
    with monkeypatch.context() as patch:
        stop_at(patch, talk_step, "decode_clip", 2)
        assert talk(**options) == 130
    assert f"{STEPS} steps and 1 of 2 clips are kept in" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        decoded = stop_at(patch, talk_step, "decode_clip", 0)
        again = stop_at(patch, windows, "frame_windows", 1)  # no step is done again
        assert talk(**options) == 0
    assert (len(decoded), len(again)) == (1, 0)
    assert streams(out_folder / "talking.mp4") == streams(whole)


def test_other_settings_start_afresh_and_are_named(talk, model, out_folder, capsys, monkeypatch):
    options = model("echomimic")
    with monkeypatch.context() as patch:
        stop_at(patch, windows, "frame_windows", 3)
        assert talk(**options) == 130
    assert talk(**options, seed=5) == 0
    said = capsys.readouterr().err
    assert "starting afresh: the 2 steps in " in said and "made with another seed" in said


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork to start a run that is killed")
@pytest.mark.parametrize("moment", ["written", "renamed"])
def test_a_kill_while_a_step_is_stored_loses_that_step_at_most(
    talk, model, uncut, streams, out_folder, capsys, monkeypatch, moment
):
    options = model("echomimic")
    whole = uncut(**options)
    child = os.fork()
    if child == 0:
        real = resume.write_whole

        def write(path, content):
            if "steps-000002" in path.name:
                if moment == "renamed":
                    real(path, content)  # beside the step before, which is not removed yet
                else:
                    path.with_name(f".part-{path.name}").write_bytes(content[:100])
                os.kill(os.getpid(), signal.SIGKILL)
            real(path, content)

        monkeypatch.setattr(resume, "write_whole", write)
        talk(**options)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    capsys.readouterr()
    assert talk(**options) == 0
    after = 1 if moment == "written" else 2
    assert f"going on after step {after}, from" in capsys.readouterr().err
    assert streams(out_folder / "talking.mp4") == streams(whole)
