"""EchoMimic's networks against recordings of its own code."""

import pytest
import torch
from families import (
    SITES,
    SMALL_ECHOMIMIC,
    SMALL_ECHOMIMIC_POSE,
    frames_first,
    recorded,
    relative_error,
    small_networks,
)

from comfyui_emo.steps.guidance import Halves, picture_features, prepare_halves

GIVEN = recorded("echomimic", "unit_inputs")
WANTED = recorded("echomimic", "unit_outputs")
EXACT = 1e-5


@torch.no_grad()
def halves(networks, guided: bool = True) -> Halves:
    features = picture_features(networks, GIVEN["ref_latents"], None, guided)
    mask = frames_first(GIVEN["face_mask"])
    return prepare_halves(networks, features, networks.audio_projection(GIVEN["audio_chunks"]), mask)


@torch.no_grad()
def predict(networks, timestep: int) -> torch.Tensor:
    both = halves(networks)
    assert both.unconditional is not None
    x, t = frames_first(GIVEN["latents"]), torch.tensor([timestep])
    rows = [networks.backbone(x, t, half) for half in (both.unconditional, both.conditional)]
    return frames_first(torch.cat(rows))


@torch.no_grad()
def test_both_locators_are_exact():
    mask = small_networks(SMALL_ECHOMIMIC).backbone.locate(frames_first(GIVEN["face_mask"]))
    assert relative_error(frames_first(mask), WANTED["face_locator"]) < EXACT
    pose = small_networks(SMALL_ECHOMIMIC_POSE).backbone.locate(frames_first(GIVEN["pose_image"]))
    assert relative_error(frames_first(pose), WANTED["face_locator_pose"]) < EXACT


@torch.no_grad()
def test_the_reference_features_are_exact_at_every_site():
    features = small_networks(SMALL_ECHOMIMIC).reference_net(GIVEN["ref_latents"])
    read = [site.reference for site in features if site.reference is not None]
    for name, value in zip(SITES, read, strict=True):
        # float16 has 11 bits: a value that lies between two of them may fall to either side.
        assert relative_error(value, WANTED[f"bank.{name}.transformer_blocks.0"]) < 1e-4, name


@pytest.mark.parametrize(
    ("timestep", "name", "half_precision"),
    [
        (637, "unet_out_cfg", True),
        (637, "unet_out_cfg_bank32", False),
        (999, "unet_out_cfg_bank32_t999", False),
    ],
)
def test_the_prediction_is_exact(timestep, name, half_precision):
    networks = small_networks(SMALL_ECHOMIMIC, half_precision)
    assert relative_error(predict(networks, timestep), WANTED[name]) < EXACT


def test_the_prediction_without_guidance_is_exact():
    networks = small_networks(SMALL_ECHOMIMIC, half_precision=False)
    with torch.no_grad():
        value = halves(networks, guided=False).predict(
            networks.backbone, frames_first(GIVEN["latents"]), GIVEN["timestep"], 1.0
        )
    assert relative_error(frames_first(value), WANTED["unet_out_nocfg_bank32"]) < EXACT
