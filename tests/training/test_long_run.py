"""The measure of a long run: true renders hold up, and what goes wrong late is found."""

from dataclasses import replace

import pytest
import torch

from comfyui_emo.errors import InputError
from comfyui_emo.training.avatars.renderer import render
from comfyui_emo.training.detector import load_detector
from comfyui_emo.training.evaluation_set import EvaluationSet
from comfyui_emo.training.long_run import LongRun

FRAMES, SIZE_PX, PARTS = 20, 64, 8  # stretches of 2 parts


@pytest.fixture(scope="module")
def run() -> LongRun:
    whole = EvaluationSet.load().first(3)
    short = replace(whole, samples=whole.samples[:, : FRAMES * 640], states=whole.states[:, :FRAMES])
    return LongRun.of(short, PARTS * FRAMES / 25 / 60, avatar=1)


@pytest.fixture(scope="module")
def truth(run: LongRun) -> torch.Tensor:
    """What the avatar would do, [PARTS, FRAMES, 3, S, S]."""
    identity = run.voices.identities.select([0]).repeat_interleave(FRAMES)
    return torch.stack(
        [render(identity, run.voices.states[run.clip_of(part)], SIZE_PX) for part in range(PARTS)]
    )


def measured(run: LongRun, video: torch.Tensor) -> dict:
    return run.measure(video.flatten(0, 1).split(12), load_detector())


def test_the_voices_come_over_and_over_and_the_last_as_the_first(run):
    assert (run.parts, run.parts_of_a_stretch) == (PARTS, 2)
    assert [run.clip_of(part) for part in range(PARTS)] == [0, 1, 2, 0, 1, 2, 0, 1]
    longer = replace(run, parts=PARTS + 1)
    assert [longer.clip_of(part) for part in range(PARTS + 1)] == [0, 1, 2, 0, 1, 2, 0, 0, 1]
    parts = longer.samples.split(FRAMES * 640)
    assert torch.equal(parts[1], run.voices.voice(1)) and torch.equal(parts[7], run.voices.voice(0))


def test_true_renders_hold_up(run, truth):
    result = measured(run, truth)
    for stretch in (result["first"], result["last"]):
        assert stretch["mouth_correlation"] > 0.9
        assert (stretch["mouth_offset_frames"], stretch["identified_of_8"]) == (0, 1)
    assert result["change"] == dict.fromkeys(result["first"], 0)


def test_a_drift_of_colour_a_blur_and_a_late_mouth_are_found(run, truth):
    spoilt = truth.clone()
    spoilt[6:, :, 0] *= 0.9
    spoilt[6:] = torch.nn.functional.avg_pool2d(spoilt[6:].flatten(0, 1), 3, 1, 1).view_as(spoilt[6:])
    spoilt[6:] = spoilt[6:].roll(2, 1)
    true, result = measured(run, truth), measured(run, spoilt)
    assert result["first"] == true["first"]
    assert result["last"]["red"] < true["last"]["red"] - 10
    assert result["last"]["eye_gradient"] < 0.7 * true["last"]["eye_gradient"]
    assert result["last"]["face_psnr_db"] < true["last"]["face_psnr_db"] - 3
    assert result["last"]["mouth_offset_frames"] == 2


def test_too_short_a_run_or_video_is_refused(run, truth):
    with pytest.raises(InputError, match="longer run"):
        LongRun.of(EvaluationSet.load(), 0.1)
    with pytest.raises(InputError, match="avatar 99"):
        LongRun.of(EvaluationSet.load(), 1, avatar=99)
    with pytest.raises(InputError, match="3 of 4 parts could be measured"):
        measured(run, truth[:7])
