"""Hallo's networks against recordings of its own code."""

import pytest
import torch
from families import SITES, SMALL_HALLO, frames_first, recorded, relative_error, small_networks

from comfyui_emo.errors import InputError
from comfyui_emo.models.region_audio import VoiceRegions
from comfyui_emo.steps.guidance import Halves, identity_tokens, picture_features, prepare_halves

GIVEN = recorded("hallo", "unit_inputs")
WANTED = recorded("hallo", "unit_outputs")
EXACT = 1e-5


def regions() -> VoiceRegions:
    masks = [torch.stack([GIVEN[f"mask_{kind}_{i}"] for kind in ("full", "face", "lip")]) for i in range(4)]
    full, face, lip = GIVEN["motion_scale"].tolist()
    return VoiceRegions(tuple(masks), (full, face, lip))


@torch.no_grad()
def halves(networks, guided: bool = True, given=GIVEN) -> Halves:
    features = picture_features(networks, given["ref_latents"], given["face_emb"], guided)
    tokens = networks.audio_projection(given["audio_window"].flatten(3))
    return prepare_halves(networks, features, tokens, frames_first(given["face_mask_image"]), regions())


@torch.no_grad()
def predict(networks, timestep: int | torch.Tensor) -> torch.Tensor:
    """Both halves' predictions [2, C, F, h, w], the unconditional one first."""
    both = halves(networks)
    x, t = frames_first(GIVEN["latents"]), torch.as_tensor(timestep).reshape(1)
    assert both.unconditional is not None
    rows = [networks.backbone(x, t, half) for half in (both.unconditional, both.conditional)]
    return frames_first(torch.cat(rows))


@torch.no_grad()
def test_the_projections_and_the_locator_are_exact():
    networks = small_networks(SMALL_HALLO)
    tokens = identity_tokens(networks, GIVEN["face_emb"], guided=True)
    assert relative_error(tokens, WANTED["image_tokens_uncond_cond"]) < EXACT
    voice = networks.audio_projection(GIVEN["audio_window"].flatten(3))
    assert relative_error(voice, WANTED["audio_tokens"]) < EXACT
    located = networks.backbone.locate(frames_first(GIVEN["face_mask_image"]))
    assert relative_error(frames_first(located), WANTED["face_locator"]) < EXACT


@torch.no_grad()
def test_the_reference_features_are_exact_at_every_site():
    networks = small_networks(SMALL_HALLO)
    tokens = identity_tokens(networks, GIVEN["face_emb"], guided=True)
    pictures = GIVEN["ref_latents"].repeat(2, 1, 1, 1)
    features = networks.reference_net(pictures, tokens.repeat(3, 1, 1))
    read = [site.reference for site in features if site.reference is not None]
    for name, value in zip(SITES, read, strict=True):
        # float16 has 11 bits: a value that lies between two of them may fall to either side.
        assert relative_error(value, WANTED[f"bank.{name}.transformer_blocks.0"]) < 1e-4, name


def test_the_prediction_with_published_precision_is_exact():
    assert relative_error(predict(small_networks(SMALL_HALLO), 637), WANTED["unet_out_cfg"]) < EXACT


@pytest.mark.parametrize(
    ("timestep", "name"), [(637, "unet_out_cfg_bank32"), (999, "unet_out_cfg_bank32_t999")]
)
def test_the_prediction_is_exact_at_both_timesteps(timestep, name):
    networks = small_networks(SMALL_HALLO, half_precision=False)
    assert relative_error(predict(networks, timestep), WANTED[name]) < EXACT


def test_the_prediction_without_guidance_is_exact():
    networks = small_networks(SMALL_HALLO, half_precision=False)
    alone = halves(networks, guided=False)
    assert alone.unconditional is None
    with torch.no_grad():
        value = alone.predict(networks.backbone, frames_first(GIVEN["latents"]), GIVEN["timestep"], 1.0)
    assert relative_error(frames_first(value), WANTED["unet_out_nocfg_bank32"]) < EXACT


def test_the_evaluation_mode_that_nobody_ran_does_not_match():
    networks = small_networks(SMALL_HALLO, half_precision=False)
    assert relative_error(predict(networks, 637), WANTED["NEGATIVE_unet_out_cfg_bank32_evalmode"]) > 0.3


@torch.no_grad()
def test_the_voice_is_needed_region_by_region():
    networks = small_networks(SMALL_HALLO)
    features = picture_features(networks, GIVEN["ref_latents"], None, guided=False)
    with pytest.raises(InputError, match="no voice regions"):
        prepare_halves(networks, features, None, None)
