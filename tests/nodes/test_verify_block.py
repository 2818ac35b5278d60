"""EMO Verify, and the marks of EMO Combine Video."""

import json

import pytest
import torch

pytest.importorskip("c2pa")


@pytest.fixture
def images() -> torch.Tensor:
    """[24, 128, 128, 3], a soft shading."""
    return torch.linspace(0.3, 0.7, 128)[None, :, None, None].expand(24, 128, 128, 3)


@pytest.fixture
def sound() -> dict:
    return {"waveform": torch.zeros(1, 1, 16000 * 24 // 25), "sample_rate": 16000}


def result(block) -> tuple:
    return block["result"] if isinstance(block, dict) else block


def test_a_combined_video_is_marked_and_verified(run, workplace, images, sound):
    (video,) = result(run("EMOCombineVideo", images=images, audio=sound, consent="A drawing."))
    verdict, report, text = result(run("EMOVerify", file="", video=video))
    found = json.loads(text)
    assert verdict == "marked" and "watermark: found" in report
    assert found["credentials"]["generation"]["consent"] == "A drawing."
    assert found["credentials"]["payload"] == found["watermark"]["payload"]
    assert found["credentials"]["generation"]["voice"]["sha256"]


def test_the_switch_leaves_marks_out(run, workplace, images, sound):
    (video,) = result(run("EMOCombineVideo", images=images, audio=sound, marks=False))
    assert result(run("EMOVerify", file="", video=video))[0] == "unmarked"


def test_a_name_in_the_output_folder(run, refused, workplace, images, sound):
    (video,) = result(run("EMOCombineVideo", images=images, audio=sound, filename_prefix="mine"))
    assert result(run("EMOVerify", file=video.name))[0] == "marked"
    assert "no file '../secret.mp4'" in refused("EMOVerify", file="../secret.mp4")
    assert "no file ''" in refused("EMOVerify", file="")


def test_a_video_in_memory_is_refused(refused, workplace):
    class Memory:
        def get_stream_source(self):
            return object()

    assert "a video in memory" in refused("EMOVerify", file="", video=Memory())
