"""The cost of one denoising step at the published size, counted without computing anything."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from comfyui_emo.models.build import build_networks
from comfyui_emo.models.checkpoints.tables import family_named
from comfyui_emo.models.region_audio import VoiceRegions
from comfyui_emo.steps.guidance import picture_features, prepare_halves

LATENT_SIDE = 64


def step_tera_flops(name: str) -> float:
    """FLOPs of one guided step, conditions projected before, over 1e12; 512x512 pixels."""
    config = family_named(name).config
    networks = build_networks(config, "meta").requires_grad_(False)
    frames, side = config.temporal.frames_per_clip, LATENT_SIDE
    with torch.device("meta"), torch.no_grad():
        pictures = torch.empty(1 + config.temporal.motion_frames, 4, side, side)
        features = picture_features(networks, pictures, None, guided=True)
        tokens = torch.empty(1, frames, config.audio.tokens, config.audio.token_width)
        masks = tuple(torch.empty(3, 1, (side >> depth) ** 2) for depth in range(4))
        mask = torch.empty(1, config.locator.channels_in, 8 * side, 8 * side)
        halves = prepare_halves(networks, features, tokens, mask, VoiceRegions(masks))
        x = torch.empty(1, frames, 4, side, side)
        with FlopCounterMode(display=False) as counter:
            halves.predict(networks.backbone, x, torch.tensor(500), 3.5)
    return counter.get_total_flops() / 1e12


@pytest.mark.parametrize(
    ("name", "published_tera_flops", "share"),
    [("hallo", 53.9, 0.89), ("echomimic", 32.2, 0.87), ("v-express", 61.3, 0.92)],
)
def test_a_step_costs_less_than_in_the_published_code(name, published_tera_flops, share):
    assert step_tera_flops(name) <= share * published_tera_flops
