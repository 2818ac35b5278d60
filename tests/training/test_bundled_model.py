"""What the bundled model does, on two short held-out clips: bounds that no later change may fall below.

They leave room for another processor's rounding; `comfyui-emo evaluate` gives the figures themselves.
"""

from argparse import Namespace

import pytest
import torch

from comfyui_emo.commands.evaluate_parts import make_generate
from comfyui_emo.models.checkpoints.emo import load_model
from comfyui_emo.training.avatars.identity import identity_codes
from comfyui_emo.training.avatars.state import STATE
from comfyui_emo.training.detector import load_detector
from comfyui_emo.training.evaluate import reconstruction_figures
from comfyui_emo.training.evaluation_set import EvaluationSet
from comfyui_emo.training.figures import head_velocity
from comfyui_emo.training.measure import Evaluator
from comfyui_emo.training.mechanisms import face_path, moved_region

CLIPS, FRAMES, SIZE_PX = [0, 5], 60, 128
ANGLES = [STATE["yaw"], STATE["pitch"], STATE["roll"]]


@pytest.fixture(scope="module")
def model():
    return load_model()


@pytest.fixture(scope="module")
def clips() -> EvaluationSet:
    whole = EvaluationSet.load()
    return EvaluationSet(
        whole.samples[CLIPS, : FRAMES * 640],
        whole.states[CLIPS, :FRAMES],
        whole.identities.select(CLIPS),
        whole.portrait_states[CLIPS],
        *(tuple(row[clip] for clip in CLIPS) for row in (whole.kinds, whole.voices, whole.texts)),
    )


@pytest.fixture(scope="module")
def talk(model, clips):
    """Let a clip's avatar say something, as it is told."""
    defaults = Namespace(steps=None, scheduler=None, guidance=None, pose_noise=None)
    generate = make_generate(model, defaults, torch.device("cpu"), lambda _: None)

    def run(clip: int, **told) -> torch.Tensor:
        usual = {
            "portrait_pixels": clips.portrait(clip, SIZE_PX),
            "samples": clips.voice(clip),
            "sample_rate_hz": clips.sample_rate_hz,
            "region": clips.region(clip),
            "speed": clips.speed(clip),
            "seed": 0,
        }
        return generate(**{**usual, **told}).clamp(0, 1)

    return run


@pytest.fixture(scope="module")
def figures(model, clips, talk) -> dict[str, float]:
    frames_per_clip = model.config.temporal.frames_per_clip
    evaluator = Evaluator(clips, load_detector(), frames_per_clip, SIZE_PX)
    return evaluator.measure(talk(clip) for clip in range(len(CLIPS)))


def test_the_mouth_follows_the_voice(figures):
    assert figures["mouth_opening_correlation"] > 0.82
    assert figures["mouth_opening_peak_offset_frames"] == 0
    assert figures["mouth_rounding_correlation"] > 0.5


def test_the_face_is_the_portraits(figures):
    assert figures["face_psnr_nearest_pose_db"] > 26
    assert figures["identified_of_8"] > 0.9
    assert figures["eye_gradient_ratio"] > 0.65


def test_small_features_follow_the_portraits_code(model, clips, talk, monkeypatch):
    encoder, voice = model.networks.reference_net.appearance, clips.voice(0)[: 25 * 640]
    codes = identity_codes(clips.identities)  # of two avatars

    def read_when_told(code: torch.Tensor) -> torch.Tensor:
        monkeypatch.setattr(encoder, "forward", lambda latents: code.expand(len(latents), -1))
        frames = talk(0, samples=voice)[5::5]
        return type(encoder).forward(encoder, model.networks.autoencoder.encode(frames)).mean(0)

    with torch.inference_mode():
        of_own, of_other = (read_when_told(code) for code in codes)
    way = codes[1] - codes[0]
    assert float((of_other - of_own) @ way / (way @ way)) > 0.1


def test_the_head_moves_without_jumps(figures):
    assert 0.4 < figures["frame_difference_off_mouth_ratio"] < 2
    assert figures["seam_ratio"] < 1.2
    assert figures["yaw_spread_ratio"] > 0.15


def test_a_higher_speed_turns_the_head_faster_and_a_moved_region_takes_it_along(clips, talk):
    detector, region = load_detector(), clips.region(0)
    slow, fast = (detector.detect(talk(0, speed=speed)) for speed in (0.2, 1.0))
    assert head_velocity(fast[:, ANGLES].mT) > 1.4 * head_velocity(slow[:, ANGLES].mT)
    left, right = (moved_region(region, by) for by in (-0.1, 0.1))
    at_left, at_right = (face_path(detector.detect(talk(0, region=box)))[0].mean() for box in (left, right))
    assert float(at_right - at_left) > 0.2 * (right[0] - left[0])


def test_the_autoencoder_keeps_eyes(model, clips):
    through = reconstruction_figures(clips, model.networks.autoencoder.reconstruct, SIZE_PX)
    assert through["autoencoder_psnr_db"] > 34 and through["autoencoder_eyes_psnr_db"] > 28


def test_a_mouth_that_hears_a_pause_is_shut(talk, clips):
    samples = clips.voice(0).clone()
    samples[8000:] = 0
    states = load_detector().detect(talk(0, samples=samples))
    assert float(states[20:, STATE["open"]].mean()) < 0.15
