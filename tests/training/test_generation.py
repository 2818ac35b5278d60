"""Leaving one condition out: it changes what the Backbone predicts, and only while it lasts."""

from dataclasses import replace

import pytest
import torch

from comfyui_emo.models.audio_layers import feature_windows
from comfyui_emo.models.avatar import avatar_config
from comfyui_emo.models.build import build_networks
from comfyui_emo.models.speed_layers import speed_buckets
from comfyui_emo.training.generation import PARTS, left_out


@pytest.fixture(scope="module")
def networks():
    config = replace(avatar_config(), appearance=None)
    small = replace(
        config,
        spatial=replace(config.spatial, channels=(16, 24), attention_levels=(True, True)),
        audio=replace(config.audio, feature_width=20, hidden_width=16, tokens=3, token_width=12),
        temporal=replace(config.temporal, frames_per_clip=4, motion_frames=2),
        autoencoder=None,
        voice_encoder=None,
    )
    torch.manual_seed(0)
    built = build_networks(small)
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    return built


@torch.no_grad()
def predicted(networks) -> torch.Tensor:
    config, generator = networks.config, torch.Generator().manual_seed(1)
    noisy = torch.randn(1, 4, 16, 8, 8, generator=generator)
    pictures = networks.reference_net(torch.randn(3, 16, 8, 8, generator=generator))
    portrait = networks.reference_net(torch.randn(1, 16, 8, 8, generator=generator))
    motion = tuple(site.output[None, :2] for site in pictures)
    voice = feature_windows(torch.randn(1, 4, 20, generator=generator), config.audio.window)
    mask = torch.rand(1, 1, 8 * config.locator.mask_scale, 8 * config.locator.mask_scale, generator=generator)
    speed = speed_buckets(torch.full((1, 4), 0.7), config.speed)
    told = networks.backbone.prepare(portrait, motion, networks.audio_projection(voice), mask, speed)
    return networks.backbone(noisy, torch.tensor([500.0]), told)


@pytest.mark.parametrize("part", PARTS)
def test_what_is_left_out_matters_and_comes_back(networks, part):
    whole = predicted(networks)
    with left_out(networks, part):
        without = predicted(networks)
    assert float((whole - without).norm() / whole.norm()) > 1e-3
    assert torch.equal(predicted(networks), whole)


def test_nothing_left_out_is_the_whole_model(networks):
    whole = predicted(networks)
    with left_out(networks, None):
        assert torch.equal(predicted(networks), whole)


def test_an_error_leaves_the_networks_whole(networks):
    whole = predicted(networks)
    with pytest.raises(KeyboardInterrupt), left_out(networks, "voice"):
        raise KeyboardInterrupt
    assert torch.equal(predicted(networks), whole)
