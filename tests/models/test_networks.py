"""The EMO networks: sizes, conditions, caches, and what must not change what."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from comfyui_emo.models.appearance import AppearanceEncoder
from comfyui_emo.models.attention import Attention
from comfyui_emo.models.audio_layers import feature_windows
from comfyui_emo.models.avatar import avatar_config
from comfyui_emo.models.backbone import Backbone
from comfyui_emo.models.build import EmoNetworks, build_networks, parameter_count
from comfyui_emo.models.config import AppearanceConfig, EmoConfig, LocatorConfig, TemporalConfig
from comfyui_emo.models.spatial import grid_squared_distances
from comfyui_emo.models.speed_layers import speed_buckets

APPEARANCE = AppearanceConfig(width=5, latent_side=8, channels=(4, 6, 8), hidden_width=8)


def small_config(**changes) -> EmoConfig:
    config = avatar_config()
    spatial = replace(config.spatial, channels=(16, 24), attention_levels=(True, True))
    audio = replace(config.audio, feature_width=20, hidden_width=16, tokens=3, token_width=12)
    temporal = replace(config.temporal, frames_per_clip=5, motion_frames=2, attentions=2)
    config = replace(
        config, spatial=spatial, audio=audio, temporal=temporal, autoencoder=None, voice_encoder=None
    )
    config = replace(config, appearance=APPEARANCE)
    return replace(config, **changes)


def randomised(config: EmoConfig, seed: int = 0) -> EmoNetworks:
    """Networks in which no zero-initialised layer is left."""
    torch.manual_seed(seed)
    networks = build_networks(config)
    for parameter in networks.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    return networks


def inputs(config: EmoConfig, batch: int = 1, side: int = 8, seed: int = 1) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    frames, motion = config.temporal.frames_per_clip, config.temporal.motion_frames
    channels = config.spatial.latent_channels

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(batch, *shape, generator=generator)

    return {
        "noisy": draw(frames, channels, side, side),
        "portrait": draw(channels, side, side),
        "motion": draw(motion, channels, side, side),
        "voice": draw(frames, config.audio.feature_width),
        "mask": torch.rand(
            batch, 1, config.locator.mask_scale * side, config.locator.mask_scale * side, generator=generator
        ),
        "speed": torch.rand(batch, frames, generator=generator),
    }


@torch.no_grad()
def prepare(networks: EmoNetworks, given: dict[str, torch.Tensor]):
    config = networks.config
    motion = networks.reference_net(given["motion"].flatten(0, 1))
    shape = given["motion"].shape[:2]
    return networks.backbone.prepare(
        networks.reference_net(given["portrait"]),
        tuple(site.output.unflatten(0, shape) for site in motion),
        networks.audio_projection(feature_windows(given["voice"], config.audio.window)),
        given["mask"],
        speed_buckets(given["speed"], config.speed),
    )


@torch.no_grad()
def predict(networks: EmoNetworks, given: dict[str, torch.Tensor], timestep: float = 500.0) -> torch.Tensor:
    return networks.backbone(given["noisy"], torch.tensor([timestep]), prepare(networks, given))


def relative_difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


def test_the_full_size_comes_from_the_same_code_as_the_small_one():
    networks = build_networks(EmoConfig(), device="meta")
    # As many as a published ReferenceNet of this skeleton without cross-attention: 815.5 M.
    assert parameter_count(networks.reference_net) == 815_546_240
    assert parameter_count(networks.backbone) == 1_467_271_476
    # AnimateDiff's 21 places, SD 1.5's 16 transformers.
    assert len(networks.backbone.temporal_modules) == 21
    assert sum(transformer is not None for transformer in networks.backbone.transformers) == 16


def test_the_bundled_size_fits_its_budget():
    assert parameter_count(build_networks(avatar_config())) * 2 < 24e6


@pytest.mark.parametrize("condition", ["portrait", "voice", "mask", "motion", "speed", "noisy"])
def test_each_condition_changes_the_prediction(condition):
    networks = randomised(small_config())
    given = inputs(networks.config)
    before = predict(networks, given)
    changed = {**given, condition: given[condition].flip(-1) * 0.5}
    assert relative_difference(predict(networks, changed), before) > 1e-3


def test_the_timestep_changes_the_prediction():
    networks = randomised(small_config())
    given = inputs(networks.config)
    assert relative_difference(predict(networks, given, 100.0), predict(networks, given, 900.0)) > 1e-3


@pytest.mark.parametrize("place", ["latent", "conv_in"])
def test_the_face_locator_acts_at_either_place(place):
    networks = randomised(small_config(locator=LocatorConfig(channels=(4, 8), place=place)))
    given = inputs(networks.config)
    elsewhere = {**given, "mask": given["mask"].roll(5, dims=-1)}
    assert relative_difference(predict(networks, elsewhere), predict(networks, given)) > 1e-4


def test_fresh_temporal_modules_leave_the_image_model_untouched():
    networks = randomised(small_config())
    for module in networks.backbone.temporal_modules:
        torch.nn.init.zeros_(module.proj_out.weight)
        torch.nn.init.zeros_(module.proj_out.bias)
    given = inputs(networks.config)
    conditions = prepare(networks, given)
    with torch.no_grad():
        as_images = networks.backbone.forward_images(given["noisy"], torch.tensor([500.0]), conditions)
    torch.testing.assert_close(predict(networks, given), as_images)


def test_a_fresh_model_has_zero_temporal_output():
    networks = build_networks(small_config())
    assert all(not module.proj_out.weight.any() for module in networks.backbone.temporal_modules)


def test_cached_projections_equal_fresh_ones_over_the_steps_of_a_clip():
    networks = randomised(small_config())
    given = inputs(networks.config)
    cached = prepare(networks, given)
    x_cached = x_fresh = given["noisy"]
    with torch.no_grad():
        for timestep in (900.0, 500.0, 100.0):
            t = torch.tensor([timestep])
            x_cached = x_cached - 0.1 * networks.backbone(x_cached, t, cached)
            x_fresh = x_fresh - 0.1 * networks.backbone(x_fresh, t, prepare(networks, given))
    assert relative_difference(x_cached, x_fresh) <= 1e-5


def test_a_batch_of_two_equals_two_of_one():
    networks = randomised(small_config())
    both = inputs(networks.config, batch=2)
    one_by_one = [
        predict(networks, {name: value[row : row + 1] for name, value in both.items()}) for row in range(2)
    ]
    assert relative_difference(predict(networks, both), torch.cat(one_by_one)) <= 1e-5


def test_the_half_without_voice_equals_a_voice_of_zero_tokens():
    networks = randomised(small_config())
    given = inputs(networks.config)
    conditions = prepare(networks, given)
    tokens = torch.zeros(
        1, given["voice"].shape[1], networks.config.audio.tokens, networks.config.audio.token_width
    )
    with torch.no_grad():
        zero = networks.backbone.prepare(
            networks.reference_net(given["portrait"]), None, tokens, given["mask"], None
        )
        none = networks.backbone.prepare(
            networks.reference_net(given["portrait"]), None, None, given["mask"], None
        )
        t = torch.tensor([500.0])
        torch.testing.assert_close(
            networks.backbone(given["noisy"], t, zero), networks.backbone(given["noisy"], t, none)
        )
        without = networks.backbone(given["noisy"], t, conditions.without_voice())
    assert relative_difference(without, predict(networks, given)) > 1e-4


def test_the_half_without_portrait_does_not_see_it():
    networks = randomised(small_config())
    given = inputs(networks.config)
    other = {**given, "portrait": given["portrait"] * -1}
    t = torch.tensor([500.0])
    with torch.no_grad():
        one = networks.backbone(given["noisy"], t, prepare(networks, given).without_portrait())
        two = networks.backbone(given["noisy"], t, prepare(networks, other).without_portrait())
    torch.testing.assert_close(one, two)


def test_the_aligned_portrait_is_added_place_by_place():
    torch.manual_seed(0)
    config = small_config()
    with_it, without = (
        build_networks(replace(config, spatial=replace(config.spatial, aligned_reference=aligned)))
        for aligned in (True, False)
    )
    for parameter in with_it.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    found = without.load_state_dict(with_it.state_dict(), strict=False)
    assert not found.missing_keys
    assert {name.rsplit(".", 2)[1] for name in found.unexpected_keys} == {"aligned"}
    given = inputs(config)
    assert relative_difference(predict(with_it, given), predict(without, given)) > 1e-3
    for name, parameter in with_it.named_parameters():
        if ".aligned." in name:
            torch.nn.init.zeros_(parameter)
    torch.testing.assert_close(predict(with_it, given), predict(without, given))


@pytest.mark.parametrize("aligned", [True, False])
def test_the_code_of_a_portrait_is_told_to_every_site(aligned: bool):
    torch.manual_seed(0)
    told = small_config()
    told = replace(told, spatial=replace(told.spatial, aligned_reference=aligned))
    plain = replace(told, appearance=None)
    with_it, without = build_networks(told), build_networks(plain)
    for parameter in with_it.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    found = without.load_state_dict(with_it.state_dict(), strict=False)
    assert not found.missing_keys
    sites = [name for name in found.unexpected_keys if not name.startswith("reference_net.appearance.")]
    assert len(sites) == sum(name.endswith("attn2.to_q.weight") for name in with_it.state_dict())
    given = inputs(plain)
    assert relative_difference(predict(with_it, given), predict(without, given)) > 1e-3
    for name in sites:
        torch.nn.init.zeros_(with_it.get_parameter(name))
    torch.testing.assert_close(predict(with_it, given), predict(without, given))


def test_a_code_is_read_from_latents_of_any_size():
    torch.manual_seed(0)
    encoder = AppearanceEncoder(4, APPEARANCE)
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    smooth = torch.randn(2, 4, 3, 3)
    small, large = (F.interpolate(smooth, (side, side), mode="bilinear") for side in (8, 24))
    with torch.no_grad():
        code, of_larger = encoder(small), encoder(large)
    assert code.shape == (2, 5)
    assert relative_difference(of_larger, code) < 0.1 < relative_difference(code[:1], code[1:])


def test_no_motion_frames_means_zero_maps():
    networks = randomised(small_config())
    given = inputs(networks.config)
    with torch.no_grad():
        portrait = networks.reference_net(given["portrait"])
        zeros = tuple(torch.zeros_like(site.output)[:, None].repeat(1, 2, 1, 1, 1) for site in portrait)
        t = torch.tensor([500.0])
        first = networks.backbone.prepare(portrait, None, None, None, None)
        explicit = networks.backbone.prepare(portrait, zeros, None, None, None)
        torch.testing.assert_close(
            networks.backbone(given["noisy"], t, first), networks.backbone(given["noisy"], t, explicit)
        )


def test_frames_hear_their_neighbours_and_no_more():
    windows = feature_windows(torch.arange(6.0)[None, :, None], window=2)[0, :, :, 0]
    assert windows[0].tolist() == [0, 0, 0, 1, 2]
    assert windows[3].tolist() == [1, 2, 3, 4, 5]
    assert windows[5].tolist() == [3, 4, 5, 5, 5]
    part = feature_windows(torch.arange(6.0)[None, :, None], window=2, first=2, count=3)[0, :, :, 0]
    assert torch.equal(part, windows[2:5])


def test_speed_buckets_follow_the_papers_formula():
    config = avatar_config().speed
    values = speed_buckets(torch.tensor([[0.25, 0.25, 0.25]]), config)[0, 1].view(5, 9)
    centres = torch.linspace(0, 2, 9)
    torch.testing.assert_close(values[2], torch.tanh((0.25 - centres) / 0.125 * 3))
    assert float(values[2, 1]) == 0.0  # at its own centre


def test_other_geometries_work():
    config = small_config(temporal=TemporalConfig(3, 0, 2, 1, 8, 2))
    networks = randomised(config)
    given = inputs(config, side=12)
    given = {**given, "noisy": given["noisy"][..., :10], "portrait": given["portrait"][..., :10]}
    with torch.no_grad():
        portrait = networks.reference_net(given["portrait"])
        conditions = networks.backbone.prepare(portrait, None, None, None, None)
        out = networks.backbone(given["noisy"], torch.tensor([1.0]), conditions)
    assert out.shape == given["noisy"].shape and bool(out.isfinite().all())


def test_a_local_head_averages_over_the_places_around_its_own():
    distances = grid_squared_distances(4, 4, torch.device("cpu"))
    local = Attention(8, 2, local=True)
    torch.nn.init.zeros_(local.to_q.weight)  # nothing but the distance says where to look
    with torch.no_grad():
        local.locality.copy_(torch.tensor([0.0, -3.0]))  # pyright: ignore[reportOptionalMemberAccess]
        torch.nn.init.eye_(local.to_out[0].weight)  # pyright: ignore[reportArgumentType]
        torch.nn.init.zeros_(local.to_out[0].bias)  # pyright: ignore[reportArgumentType]
    context = torch.randn(1, 16, 8)
    for grad in (False, True):  # the fused kernel, and the two products it is trained with
        with torch.set_grad_enabled(grad):
            key_value = local.project(context, None, distances)
            result = local(torch.randn(3, 16, 8), key_value)
        places = torch.cartesian_prod(torch.arange(4), torch.arange(4)).float() * 4  # on a scale of 16
        squared = torch.cdist(places, places).square()
        for head, precision in enumerate((1.0, math.exp(-3.0))):
            weights = (-0.5 * precision * squared).softmax(-1)
            expected = weights @ key_value.values[0, head]
            for row in result.unflatten(-1, (2, 4))[:, :, head]:
                torch.testing.assert_close(row, expected, atol=1e-5, rtol=1e-5)


def test_only_a_model_that_asks_for_it_has_local_heads():
    config = avatar_config()
    plain = replace(config, spatial=replace(config.spatial, local_reference=False))
    names = [name for name, _ in Backbone(config).named_parameters() if name.endswith("locality")]
    assert names and all(".attn2." in name for name in names)
    assert not any(name.endswith("locality") for name, _ in Backbone(plain).named_parameters())
