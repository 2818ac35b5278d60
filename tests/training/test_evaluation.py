"""The evaluator on true renders, and on what is done to them: each figure reacts to what it is about."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tone_corpus import tone_corpus

from comfyui_emo.errors import InputError
from comfyui_emo.training.avatars.identity import draw_identities
from comfyui_emo.training.avatars.renderer import render
from comfyui_emo.training.avatars.state import STATE
from comfyui_emo.training.detector import load_detector
from comfyui_emo.training.evaluate import EvaluationSettings, contact_sheet, evaluate_model, evenly_spaced
from comfyui_emo.training.evaluation_set import EvaluationSet, write_evaluation_set
from comfyui_emo.training.face_areas import eye_weights, face_weights, off_mouth_weights
from comfyui_emo.training.measure import Evaluator, strangers

FRAMES = 50
SIZE_PX = 64


def shortened(whole: EvaluationSet, frames: int) -> EvaluationSet:
    return replace(whole, samples=whole.samples[:, : frames * 640], states=whole.states[:, :frames])


@pytest.fixture(scope="module")
def bundled() -> EvaluationSet:
    return EvaluationSet.load()


@pytest.fixture(scope="module")
def evaluator(bundled: EvaluationSet) -> Evaluator:
    return Evaluator(
        shortened(bundled.first(2), FRAMES), load_detector(), frames_per_clip=12, size_px=SIZE_PX
    )


@pytest.fixture(scope="module")
def truth(evaluator: Evaluator) -> torch.Tensor:
    return torch.stack(list(evaluator.truth()))


def test_truth_is_read_as_such(evaluator: Evaluator):
    figures = evaluator.truth_figures()
    assert figures["mouth_opening_correlation"] > 0.95
    assert figures["mouth_opening_peak_offset_frames"] == 0
    assert figures["mouth_rounding_correlation"] > 0.7
    assert figures["identified_of_8"] == 1
    assert figures["face_psnr_nearest_pose_db"] > 30
    for name in (
        "frame_difference_off_mouth_ratio",
        "eye_gradient_ratio",
        "yaw_spread_ratio",
        "head_velocity_ratio",
    ):
        assert figures[name] == pytest.approx(1)


def test_blur_costs_the_eyes_and_the_face_but_not_the_lips_timing(evaluator: Evaluator, truth: torch.Tensor):
    blurred = torch.nn.functional.avg_pool2d(truth.flatten(0, 1), 3, 1, 1, count_include_pad=False)
    figures = evaluator.measure(blurred.view_as(truth))
    assert figures["eye_gradient_ratio"] < 0.6
    assert figures["face_psnr_nearest_pose_db"] < evaluator.truth_figures()["face_psnr_nearest_pose_db"] - 3
    assert figures["mouth_opening_correlation"] > 0.9


def test_a_frozen_video_has_no_motion_and_no_lip_sync(evaluator: Evaluator, truth: torch.Tensor):
    figures = evaluator.measure(truth[:, :1].expand_as(truth))
    assert figures["mouth_opening_correlation"] == 0
    for name in ("frame_difference_off_mouth_ratio", "yaw_spread_ratio", "head_velocity_ratio"):
        assert figures[name] == pytest.approx(0, abs=1e-4)


def test_a_late_mouth_and_a_jump_at_the_seams_are_found(evaluator: Evaluator, truth: torch.Tensor):
    spoilt = truth.roll(2, 1)
    for first in range(12, FRAMES, 24):
        spoilt[:, first : first + 12] = spoilt[:, first : first + 12].roll(1, 4)
    figures = evaluator.measure(spoilt)
    assert figures["mouth_opening_peak_offset_frames"] == 2
    assert figures["seam_ratio"] > 1.5 * evaluator.truth_figures()["seam_ratio"]


def test_the_video_of_another_avatar_is_found_out(evaluator: Evaluator):
    own = evaluator.evaluation_set
    others = [strangers(own, clip).select([3]).repeat_interleave(FRAMES) for clip in range(2)]
    figures = evaluator.measure([render(others[clip], own.states[clip], SIZE_PX) for clip in range(2)])
    assert figures["identified_of_8"] == 0
    assert figures["face_psnr_nearest_pose_db"] < 25
    assert figures["mouth_opening_correlation"] > 0.85


def test_videos_of_the_wrong_length_or_number_are_refused(evaluator: Evaluator, truth: torch.Tensor):
    with pytest.raises(InputError, match="as long as the clip's voice"):
        evaluator.measure(truth[:, :20])
    with pytest.raises(InputError, match="1 videos"):
        evaluator.measure(truth[:1])


def test_a_whole_evaluation_can_be_written_as_json(bundled: EvaluationSet, tmp_path: Path):
    clips = shortened(bundled.first(2), 30)
    asked = []

    def still_portrait(*, portrait_pixels, samples, sample_rate_hz, region, speed, seed):
        asked.append((samples, region, speed, seed))
        return portrait_pixels.expand(len(samples) * 25 // sample_rate_hz, -1, -1, -1)

    settings = EvaluationSettings(frames_per_clip=12, seeds=(3, 4), size_px=SIZE_PX)
    sheet = tmp_path / "sheet.png"
    report = evaluate_model(still_portrait, lambda pixels: pixels, clips, load_detector(), settings, sheet)
    assert json.loads(json.dumps(report, allow_nan=False)) == json.loads(json.dumps(report))
    assert [row[3] for row in asked] == [3, 3, 4, 4, 3, 3]
    assert torch.equal(asked[4][0], clips.voice(1))  # the last round swaps the voices
    assert report["figures"]["mouth_opening_correlation"] == 0
    assert report["figures"]["mouth_opening_correlation_other_voice"] == 0
    assert report["figures"]["identified_of_8"] == 1
    assert report["truth_through_autoencoder"] == pytest.approx(report["truth"])
    assert set(report["spread"].values()) == {0.0}
    assert Image.open(sheet).size == (9 * SIZE_PX, 2 * SIZE_PX)


def test_a_contact_sheet_shows_portraits_first(tmp_path: Path):
    portraits, frames = torch.zeros(2, 3, 8, 8), torch.ones(2, 3, 3, 8, 8)
    contact_sheet(frames, portraits, tmp_path / "sheet.png")
    pixels = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert pixels.shape == (16, 32, 3)
    assert pixels[:, :8].max() == 0 and pixels[:, 8:].min() == 255
    assert evenly_spaced(torch.arange(50.0), 8)[[0, -1]].tolist() == [0, 49]


def test_the_bundled_set_is_what_it_says(bundled: EvaluationSet):
    assert (len(bundled), bundled.frame_count) == (16, 125)
    assert bundled.samples.shape[1] * 25 == bundled.frame_count * bundled.sample_rate_hz
    assert {"sentence", "nonsense", "sung"} <= set(bundled.kinds) and len(set(bundled.voices)) >= 4
    speeds = sorted(bundled.speed(clip) for clip in range(16))
    assert speeds[0] == pytest.approx(0.2, abs=0.05) and speeds[-1] == pytest.approx(1.0, abs=0.1)
    opening = bundled.states[..., STATE["open"]]
    assert bundled.silent.sum() > 40 and opening[bundled.silent].max() < 0.1 < opening.mean()
    assert (bundled.portrait_states[:, STATE["open"]] == 0).all()
    x0, y0, x1, y1 = bundled.region(0)
    assert 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1


def test_more_clips_than_there_are_cannot_be_taken(bundled: EvaluationSet):
    with pytest.raises(InputError, match="17 clips"):
        bundled.first(17)


def test_a_set_is_cut_from_a_corpus_and_read_back(tmp_path: Path):
    path = tmp_path / "set.safetensors"
    write_evaluation_set(path, tone_corpus(5, 4.0), clips=4, seconds=2.0, seed=1)
    clips = EvaluationSet.load(path)
    assert (len(clips), clips.frame_count, clips.samples.shape[1]) == (4, 50, 32000)
    assert clips.texts[clips.voices.index("voice0")] == "text 0"
    assert "sung" in clips.kinds and len(set(clips.voices)) == 4
    paused = clips.voices.index("voice0")
    assert clips.silent[paused, 21:29].all() and not clips.silent[paused, :5].any()
    loudness = clips.samples[paused].float().unflatten(0, (50, 640)).square().mean(1).sqrt()
    together = torch.stack([loudness, clips.states[paused, :, STATE["open"]]])
    assert float(torch.corrcoef(together)[0, 1]) > 0.98
    assert clips.portrait(0, 32).shape == (1, 3, 32, 32) and clips.truth(0, 32).shape == (50, 3, 32, 32)


def test_sets_that_cannot_be_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="2 utterances"):
        write_evaluation_set(tmp_path / "set.safetensors", tone_corpus(2, 3.0), clips=4, seconds=2.0)
    (tmp_path / "broken.safetensors").write_bytes(b"no tensors")
    with pytest.raises(InputError, match="whole safetensors file"):
        EvaluationSet.load(tmp_path / "broken.safetensors")


def test_areas_lie_where_they_should(bundled: EvaluationSet):
    identity, states = bundled.identities, bundled.states[:, 30].clone()
    face = face_weights(identity, states, 64)
    stranger = draw_identities(16, torch.Generator().manual_seed(6))
    base = render(identity, states, 64)
    dressed = render(identity.with_background_and_clothes_of(stranger), states, 64)
    mouthing = states.clone()
    mouthing[:, STATE["round"]] = 1 - states[:, STATE["round"]]
    for changed in (dressed, render(identity, mouthing, 64)):
        assert ((changed - base).abs().amax(1, keepdim=True) * face).max() < 0.02
    assert 0.08 < face.mean() < 0.3
    blinking = states.clone()
    blinking[:, STATE["blink"]] = 1 - states[:, STATE["blink"]]
    change = (render(identity, blinking, 64) - base).abs().mean(1, keepdim=True)
    assert (change * eye_weights(states, 64)).sum() > 0.9 * change.sum()
    opened = states.clone()
    opened[:, STATE["open"]] = 0.9
    opened_change = (render(identity, opened, 64) - base).abs().mean((0, 1))
    assert (opened_change * off_mouth_weights(64)).sum() < 0.1 * opened_change.sum()
