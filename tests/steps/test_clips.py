"""Clip after clip from motion frames: a whole sampling loop against a recording."""

import pytest
import torch
from families import SMALL_HALLO, frames_first, overheard, recorded, relative_error, small_networks

from comfyui_emo.models.region_audio import VoiceRegions
from comfyui_emo.steps.guidance import denoise_halves, picture_features, prepare_halves
from comfyui_emo.steps.noise import clip_noise
from comfyui_emo.steps.schedulers import make_scheduler, signal_levels

GIVEN = recorded("hallo", "pipeline")


@pytest.mark.parametrize(
    ("half_precision", "name", "allowed"),
    # Rounding features to float16 turns a last bit into one of 11: exact to that, over all steps.
    [(True, "final_latents_as_published_bank16", 1e-4), (False, "final_latents_bank32", 1e-5)],
)
def test_a_clip_is_sampled_as_hallo_samples_it(half_precision, name, allowed):
    networks = small_networks(SMALL_HALLO, half_precision)
    masks = [torch.stack([GIVEN[f"mask_{kind}_{i}"] for kind in ("full", "face", "lip")]) for i in range(4)]
    full, face, lip = GIVEN["motion_scale"].tolist()
    regions = VoiceRegions(tuple(masks), (full, face, lip))
    features = picture_features(networks, GIVEN["ref_image_latents"], GIVEN["face_emb"], guided=True)
    halves = prepare_halves(networks, features, GIVEN["audio_tokens"], GIVEN["face_mask_image"], regions)
    noise = clip_noise(torch.Generator().manual_seed(42), 4, (4, 16, 16), networks.config.loop)
    assert torch.equal(frames_first(noise), GIVEN["initial_noise"])
    scheduler = make_scheduler("ddim", networks.config.diffusion)
    scheduler.set_timesteps(4)  # pyright: ignore[reportAttributeAccessIssue]
    assert scheduler.timesteps.tolist() == GIVEN["timesteps"].tolist()  # pyright: ignore
    told = overheard(scheduler)
    result = denoise_halves(networks.backbone, noise, halves, scheduler, 3.5)
    assert relative_error(frames_first(result), GIVEN[name]) < allowed
    if not half_precision:  # in which the steps were recorded
        for step, (predicted, after) in enumerate(told):
            assert relative_error(frames_first(predicted), GIVEN[f"step{step}.guided_model_output"]) < 1e-5
            assert relative_error(frames_first(after), GIVEN[f"step{step}.prev_sample"]) < 1e-5


def test_the_noise_levels_are_hallos():
    levels = signal_levels(SMALL_HALLO.config.diffusion)
    torch.testing.assert_close(levels, GIVEN["scheduler_alphas_cumprod"], rtol=1e-5, atol=1e-7)
