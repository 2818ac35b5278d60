"""V-Express's networks against recordings of its own code."""

from dataclasses import replace

import pytest
import torch
from families import SITES, SMALL_V_EXPRESS, frames_first, recorded, relative_error, small_networks

from comfyui_emo.models.checkpoints.family import Family
from comfyui_emo.steps.guidance import Halves, picture_features, prepare_halves

GIVEN = recorded("v-express", "unit_inputs")
WANTED = recorded("v-express", "unit_outputs")
EXACT = 1e-5


@torch.no_grad()
def halves(networks, guided: bool = True) -> Halves:
    features = picture_features(networks, GIVEN["ref_latents"], None, guided)
    tokens = networks.audio_projection(GIVEN["audio_windows"][None])
    return prepare_halves(networks, features, tokens, frames_first(GIVEN["kps_image"]))


@torch.no_grad()
def predict(networks, timestep: int) -> torch.Tensor:
    both = halves(networks)
    assert both.unconditional is not None
    x, t = frames_first(GIVEN["latents"]), torch.tensor([timestep])
    rows = [networks.backbone(x, t, half) for half in (both.unconditional, both.conditional)]
    return frames_first(torch.cat(rows))


def unscaled(family: Family) -> Family:
    """The family with both of its weights at 1."""
    config = family.config
    changed = replace(
        config, reference=replace(config.reference, scale=1.0), audio=replace(config.audio, scale=1.0)
    )
    return replace(family, config=changed)


@torch.no_grad()
def test_the_resampler_and_the_locator_are_exact():
    networks = small_networks(SMALL_V_EXPRESS)
    tokens = networks.audio_projection(GIVEN["audio_windows"][None])[0]
    assert relative_error(tokens, WANTED["audio_tokens"]) < EXACT
    located = networks.backbone.locate(frames_first(GIVEN["kps_image"]))
    assert relative_error(frames_first(located), WANTED["kps_features"]) < EXACT


@torch.no_grad()
def test_the_reference_features_are_exact_at_every_site():
    features = small_networks(SMALL_V_EXPRESS).reference_net(GIVEN["ref_latents"])
    read = [site.reference for site in features if site.reference is not None]
    for name, value in zip(SITES, read, strict=True):
        assert relative_error(value, WANTED[f"bank.{name}.transformer_blocks.0"]) < EXACT, name


@pytest.mark.parametrize(("timestep", "name"), [(637, "unet_out_cfg"), (999, "unet_out_cfg_t999")])
def test_the_prediction_is_exact_at_both_timesteps(timestep, name):
    assert relative_error(predict(small_networks(SMALL_V_EXPRESS), timestep), WANTED[name]) < EXACT


def test_the_prediction_at_other_weights_is_exact():
    networks = small_networks(unscaled(SMALL_V_EXPRESS))
    assert relative_error(predict(networks, 637), WANTED["unet_out_cfg_weights1"]) < EXACT


def test_the_prediction_without_guidance_is_exact():
    networks = small_networks(SMALL_V_EXPRESS)
    with torch.no_grad():
        value = halves(networks, guided=False).predict(
            networks.backbone, frames_first(GIVEN["latents"]), GIVEN["timestep"], 1.0
        )
    assert relative_error(frames_first(value), WANTED["unet_out_nocfg"]) < EXACT
