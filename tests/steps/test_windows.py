"""Overlapping windows: which frames they hold, and whole sampling loops against recordings."""

import pytest
import torch
from families import (
    SMALL_ECHOMIMIC,
    SMALL_ECHOMIMIC_ACC,
    SMALL_ECHOMIMIC_POSE,
    SMALL_V_EXPRESS,
    frames_first,
    overheard,
    recorded,
    relative_error,
    small_networks,
)
from hypothesis import given
from hypothesis import strategies as st

from comfyui_emo.errors import InputError
from comfyui_emo.models.checkpoints.echomimic import CONFIG as ECHOMIMIC_CONFIG
from comfyui_emo.models.config import LoopConfig
from comfyui_emo.steps.guidance import picture_features, prepare_halves
from comfyui_emo.steps.noise import clip_noise
from comfyui_emo.steps.schedulers import make_scheduler, signal_levels
from comfyui_emo.steps.windows import (
    WindowedConditions,
    denoise_windows,
    frame_windows,
    whole_windows,
)

ECHO = recorded("echomimic", "pipeline") | recorded("echomimic", "pipeline_steps")
EXPRESS = recorded("v-express", "pipeline")
EXACT = 1e-5


def sample(networks, latents, tokens, mask, noise, steps: int, guidance: float):
    """The latents, and what every step was told and gave."""
    features = picture_features(networks, latents, None, guided=guidance != 1)
    with torch.no_grad():
        halves = prepare_halves(networks, features, None, None)
        conditions = WindowedConditions(networks, halves, tokens, mask)
    scheduler = make_scheduler("ddim", networks.config.diffusion)
    scheduler.set_timesteps(steps)  # pyright: ignore[reportAttributeAccessIssue]
    told = overheard(scheduler)
    return frames_first(denoise_windows(conditions, frames_first(noise), scheduler, guidance)), told


def echo_voice() -> torch.Tensor:
    """The chunks of the recording's 10 frames, [1, 10, 50, 384]."""
    rows = recorded("echomimic", "unit_outputs")["chunk_index_fps24"][:10]
    return ECHO["whisper_features_50hz"][rows].flatten(1, 2)[None]


@pytest.mark.parametrize(
    ("family", "tag", "steps", "guidance", "half_precision"),
    [
        (SMALL_ECHOMIMIC, "base", 4, 2.5, True),
        (SMALL_ECHOMIMIC, "base", 4, 2.5, False),
        (SMALL_ECHOMIMIC_ACC, "acc", 3, 1.0, True),
        (SMALL_ECHOMIMIC_ACC, "acc", 3, 1.0, False),
        (SMALL_ECHOMIMIC_POSE, "pose", 3, 2.5, True),
        (SMALL_ECHOMIMIC_POSE, "pose", 3, 2.5, False),
    ],
)
def test_closed_windows_sample_what_echomimic_samples(family, tag, steps, guidance, half_precision):
    networks = small_networks(family, half_precision)
    mask = ECHO["pose_image"].float() if tag == "pose" else ECHO["face_mask"]
    result, told = sample(
        networks,
        ECHO["ref_image_latents"],
        echo_voice(),
        frames_first(mask),
        ECHO[f"{tag}.initial_latents"],
        steps,
        guidance,
    )
    assert len(told) == steps
    name = "as_published_bank16" if half_precision else "bank32"
    # Rounding features to float16 turns a last bit into one of 11: exact to that, over all steps.
    allowed = 1e-4 if half_precision else EXACT
    assert relative_error(result, ECHO[f"{tag}.final_latents_{name}"]) < allowed
    if not half_precision:  # in which the steps were recorded
        for step, (predicted, after) in enumerate(told):
            assert relative_error(frames_first(after), ECHO[f"{tag}.step{step}.prev_sample"]) < EXACT
            assert relative_error(frames_first(predicted), ECHO[f"{tag}.step{step}.model_output"]) < EXACT


def test_open_windows_sample_what_v_express_samples_at_every_step():
    result, told = sample(
        small_networks(SMALL_V_EXPRESS),
        EXPRESS["ref_image_latents"],
        EXPRESS["audio_tokens_cfg"][1:],
        EXPRESS["kps_image"][None].float(),
        EXPRESS["initial_latents"],
        4,
        3.5,
    )
    assert len(told) == 4
    for step, (_, after) in enumerate(told):
        assert relative_error(frames_first(after), EXPRESS[f"step{step}.latents_after"]) < EXACT
    # Its code steps frames as soon as their last window is done, here all of them at once.
    calls = torch.cat([EXPRESS[f"step0.call{call}.guided_mean_output"] for call in range(3)], dim=2)
    assert relative_error(frames_first(told[0][0]), calls) < EXACT
    assert relative_error(result, EXPRESS["final_latents"]) < EXACT


def test_the_noise_is_the_families_own():
    pose, base = SMALL_ECHOMIMIC_POSE.config.loop, SMALL_ECHOMIMIC.config.loop
    for loop, tag in ((base, "base"), (base, "acc"), (pose, "pose")):
        drawn = clip_noise(torch.Generator().manual_seed(420), 10, (4, 16, 16), loop)
        assert torch.equal(frames_first(drawn), ECHO[f"{tag}.initial_latents"])
    drawn = clip_noise(torch.Generator().manual_seed(42), 10, (4, 16, 16), SMALL_V_EXPRESS.config.loop)
    assert torch.equal(frames_first(drawn), EXPRESS["initial_latents"])


def test_the_noise_levels_are_the_families_own():
    for config, wanted in ((ECHOMIMIC_CONFIG, ECHO), (SMALL_V_EXPRESS.config, EXPRESS)):
        levels = signal_levels(config.diffusion)
        torch.testing.assert_close(levels, wanted["scheduler_alphas_cumprod"], rtol=1e-5, atol=1e-7)


def test_windows_are_the_recorded_ones():
    assert frame_windows(10, 4, SMALL_ECHOMIMIC.config.loop, 0) == ECHO["context_queue_step0"].tolist()
    open_windows = frame_windows(10, 4, SMALL_V_EXPRESS.config.loop, 3)
    assert [[w[0], w[-1]] for w in open_windows] == EXPRESS["context_indices"].tolist()


def test_closed_windows_wrap_and_move_on():
    loop = LoopConfig("windows", overlap_frames=1, closed=True, rotation_frames=2)
    assert frame_windows(6, 4, loop, 0) == [[0, 1, 2, 3], [3, 4, 5, 0]]
    assert frame_windows(6, 4, loop, 2) == [[4, 5, 0, 1], [1, 2, 3, 4]]
    assert frame_windows(3, 4, loop, 1) == [[2, 0, 1]]


@given(
    frames=st.integers(1, 200),
    window=st.integers(2, 30),
    overlap=st.integers(0, 29),
    closed=st.booleans(),
    step=st.integers(0, 40),
)
def test_every_frame_is_in_a_window(frames, window, overlap, closed, step):
    loop = LoopConfig("windows", overlap_frames=overlap % window, closed=closed, rotation_frames=3)
    count = whole_windows(frames, window, loop)
    assert count >= frames
    windows = frame_windows(count, window, loop, step)
    assert {frame for group in windows for frame in group} == set(range(count))
    assert all(len(set(group)) == len(group) <= window for group in windows)


def test_frames_that_are_no_whole_windows_are_refused():
    networks = small_networks(SMALL_V_EXPRESS)
    conditions = WindowedConditions(networks, None, None, None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="give 10 frames and cut the rest"):
        denoise_windows(conditions, torch.zeros(1, 8, 4, 8, 8), None, 1.0)
