"""The figures of mechanisms: a model that does what it is told has them, one that does not is found out."""

from dataclasses import replace

import pytest
import torch

from comfyui_emo.errors import InputError
from comfyui_emo.training.avatars.head_pose import REST_Y
from comfyui_emo.training.avatars.renderer import render
from comfyui_emo.training.avatars.state import STATE
from comfyui_emo.training.detector import load_detector
from comfyui_emo.training.drift import measure_drift
from comfyui_emo.training.evaluate import reconstruction_figures
from comfyui_emo.training.evaluation_set import EvaluationSet
from comfyui_emo.training.generation import PARTS, WITHOUT_MOTION_FRAMES
from comfyui_emo.training.listening import loudness_db, measure_recording
from comfyui_emo.training.mechanisms import (
    Mechanisms,
    MechanismSettings,
    moved_region,
    widened_region,
)

FRAMES, SIZE_PX, CLIP_FRAMES = 26, 64, 12
SETTINGS = MechanismSettings()


@pytest.fixture(scope="module")
def clips() -> EvaluationSet:
    whole = EvaluationSet.load().first(2)
    return replace(whole, samples=whole.samples[:, : FRAMES * 640], states=whole.states[:, :FRAMES])


class Renderer:
    """Draws the true avatars as it is told: its head goes to the region's middle and turns at the speed."""

    def __init__(self, clips: EvaluationSet, obeys: bool = True):
        self.clips, self.obeys = clips, obeys

    def __call__(self, *, portrait_pixels, samples, sample_rate_hz, region, speed, seed, without=None):
        portraits = [self.clips.portrait(clip, SIZE_PX) for clip in range(len(self.clips))]
        clip = [torch.equal(portrait_pixels, portrait) for portrait in portraits].index(True)
        states = self.clips.states[clip].clone()
        if self.obeys:
            states = self._told(states, region, speed, without)
        seen = clip if without != "portrait" or not self.obeys else 1 - clip
        identity = self.clips.identities.select([seen])
        return render(identity.repeat_interleave(len(states)), states, SIZE_PX)

    def _told(self, states, region, speed, without):
        x0, y0, x1, y1 = region
        time = torch.arange(len(states)) / 25
        states[:, STATE["yaw"]] = 0.15 * torch.sin(3 * speed * time)
        states[:, STATE["shift_x"]] = x0 + x1 - 1 + 0.2 * (x1 - x0 - 0.5) * torch.sin(6 * time)
        states[:, STATE["shift_y"]] = y0 + y1 - 1 - REST_Y
        if without == "voice":
            states[:, STATE["open"]] = 0
        if without in WITHOUT_MOTION_FRAMES:
            jump = {"motion_frames": 0.1, "earlier_frames": 0.2}[without]
            states[:, STATE["shift_x"]] += jump * (torch.arange(len(states)) // CLIP_FRAMES % 2)
        return states


def measured(clips: EvaluationSet, obeys: bool) -> dict:
    renderer = Renderer(clips, obeys)
    return Mechanisms(renderer, clips, load_detector(), CLIP_FRAMES, SIZE_PX, SETTINGS).measure()


def test_an_obedient_model_follows_speed_and_region_and_needs_every_part(clips):
    result = measured(clips, obeys=True)
    mechanisms, ablations = result["mechanisms"], result["ablations"]
    velocities = [mechanisms[f"head_velocity_at_speed_{speed:g}"] for speed in SETTINGS.speeds]
    assert velocities == sorted(velocities)
    assert mechanisms["head_velocity_fastest_over_slowest"] > 1.5
    assert mechanisms["face_follows_region"] == pytest.approx(1, abs=0.15)
    assert mechanisms["movement_in_widened_region"] > 1.2
    assert mechanisms["seams_without_over_with_motion_frames"] > 1.5
    assert (
        mechanisms["seam_ratio_without_earlier_frames"] > mechanisms["seam_ratio_without_motion_frames"]
    )
    assert set(ablations) == {"whole", *PARTS}
    likeness = {part: figures["face_psnr_nearest_pose_db"] for part, figures in ablations.items()}
    assert likeness["portrait"] < likeness["whole"] - 5
    heard = {part: figures["mouth_opening_correlation"] for part, figures in ablations.items()}
    assert heard["voice"] < heard["whole"] - 0.3


def test_a_model_that_hears_nothing_of_it_has_figures_of_nothing(clips):
    mechanisms = measured(clips.first(1), obeys=False)["mechanisms"]
    assert mechanisms["head_velocity_fastest_over_slowest"] == 1
    assert mechanisms["face_follows_region"] == 0
    assert mechanisms["movement_in_widened_region"] == 1
    assert mechanisms["seams_without_over_with_motion_frames"] == 1


def test_regions_stay_within_the_picture():
    assert moved_region((0.25, 0.1, 0.75, 0.9), 0.125) == (0.375, 0.1, 0.875, 0.9)
    assert moved_region((0.25, 0.1, 0.9375, 0.9), 0.125) == (0.3125, 0.1, 1.0, 0.9)
    assert moved_region((0.0625, 0.1, 0.9, 0.9), -0.125)[0] == 0
    assert widened_region((0.25, 0.0, 0.75, 0.5), 1.5) == (0.125, 0.0, 0.875, 0.625)


@pytest.mark.parametrize(
    "changes", [{"speeds": (1.0, 0.2)}, {"speeds": (1.0,)}, {"move": 0}, {"widening": 1}]
)
def test_settings_that_measure_nothing_are_refused(changes):
    with pytest.raises(InputError, match="settings of the mechanisms"):
        MechanismSettings(**changes)


def test_a_drift_of_sharpness_over_a_minute_is_found(clips):
    def blurred_at_the_end(*, portrait_pixels, samples, sample_rate_hz, region, speed, seed, without=None):
        parts = len(samples) // clips.samples.shape[1]
        identity = clips.identities.select([1]).repeat_interleave(FRAMES)
        video = torch.cat([render(identity, clips.states[part % 2], SIZE_PX) for part in range(parts)])
        # The last stretch says what the first said.
        reach = 3 * FRAMES
        video[-reach:] = torch.nn.functional.avg_pool2d(video[:reach], 3, 1, 1)
        return video

    drift = measure_drift(blurred_at_the_end, clips, load_detector(), [1], SIZE_PX, seed=0)
    assert drift["drift_eye_gradient"] < 0 and drift["drift_face_psnr_db"] < -3
    assert drift["drift_mouth_offset_frames"] == 0


def test_an_autoencoder_that_blurs_is_measured(clips):
    exact = reconstruction_figures(clips, lambda pixels: pixels, SIZE_PX)
    assert exact == {"autoencoder_psnr_db": pytest.approx(99), "autoencoder_eyes_psnr_db": pytest.approx(99)}
    lighter = reconstruction_figures(clips, lambda pixels: pixels + 0.1, SIZE_PX)
    # 0.1 off everywhere is 20 dB; where the picture is nearly white already, it is less.
    assert all(20 <= value < 23 for value in lighter.values())


def test_loudness_is_relative_to_the_loudest_frame():
    tone = torch.sin(torch.arange(16000) * 0.5)
    tone[8000:] *= 0.1
    tone[12000:] = 0
    level = loudness_db(tone, 16000)
    assert len(level) == 25
    assert float(level[:11].mean()) == pytest.approx(0, abs=0.1)
    assert float(level[14:17].mean()) == pytest.approx(-20, abs=0.3)
    assert float(level[21:].mean()) == pytest.approx(-35)


@pytest.mark.parametrize("samples", [torch.zeros(16000), torch.ones(500)])
def test_a_recording_without_a_voice_is_refused(samples):
    with pytest.raises(InputError, match="recording of somebody"):
        loudness_db(samples, 16000)


def test_a_mouth_that_opens_with_the_loudness_is_told_from_a_late_one(clips):
    samples = clips.voice(0)
    opening = (loudness_db(samples, clips.sample_rate_hz) + 35) / 35

    def heard(late_frames: int) -> dict[str, float]:
        def generate(*, portrait_pixels, samples, sample_rate_hz, region, speed, seed, without=None):
            states = clips.states[0].clone()
            states[:, STATE["open"]] = opening.roll(late_frames)
            return render(clips.identities.select([0]).repeat_interleave(FRAMES), states, SIZE_PX)

        rate = clips.sample_rate_hz
        return measure_recording(generate, clips, load_detector(), samples, rate, 1, SIZE_PX, seed=0)

    assert heard(0)["opening_correlation_with_loudness"] > 0.9
    assert (heard(0)["opening_peak_offset_frames"], heard(3)["opening_peak_offset_frames"]) == (0, 3)
    assert 0.3 < heard(0)["opening_correlation_with_loudness_of_truth"] < 1
