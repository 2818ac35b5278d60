"""Families at other geometries than the recordings', each compared with a second way to the same numbers."""

from dataclasses import replace

import pytest
import torch
from families import SMALL, relative_error

from comfyui_emo.models.build import EmoNetworks, build_networks, denoise_in
from comfyui_emo.models.checkpoints.tables import family_named
from comfyui_emo.models.region_audio import VoiceRegions
from comfyui_emo.steps.guidance import Halves, picture_features, prepare_halves
from comfyui_emo.steps.windows import WindowedConditions

EXACT = 1e-5
GUIDANCE = 2.5
# (family, frames, latent height, latent width, widths); Hallo's masks are of square pictures.
GEOMETRIES = [
    ("hallo", 1, 24, 24, (32, 64, 64, 64)),
    ("hallo", 6, 16, 16, (64, 96, 96, 96)),
    ("hallo", 16, 8, 8, (32, 64, 64, 64)),
    ("echomimic", 1, 24, 16, (64, 96, 96, 96)),
    ("echomimic", 6, 24, 24, (32, 64, 64, 64)),
    ("echomimic", 16, 8, 16, (32, 64, 64, 64)),
    ("v-express", 1, 24, 24, (64, 96, 96, 96)),
    ("v-express", 6, 16, 24, (32, 64, 64, 64)),
    ("v-express", 16, 8, 8, (32, 64, 64, 64)),
]


def networks_of(name: str, frames: int, widths=(32, 64, 64, 64)) -> EmoNetworks:
    config = SMALL[name].config
    spatial = replace(config.spatial, channels=widths)
    reference = replace(config.reference, half_precision=False)
    temporal = replace(config.temporal, frames_per_clip=max(frames, 2))
    loop = replace(config.loop, overlap_frames=0)
    torch.manual_seed(0)
    changed = replace(config, spatial=spatial, reference=reference, temporal=temporal, loop=loop)
    networks = build_networks(changed)
    for parameter in networks.parameters():  # the zero-initialised ones too, so that every condition acts
        torch.nn.init.normal_(parameter, std=0.06)
    return networks


class Given:
    """Random inputs of a clip."""

    def __init__(self, networks: EmoNetworks, frames: int, height: int, width: int):
        config = networks.config
        self.pictures = torch.randn(1 + config.temporal.motion_frames, 4, height, width)
        context = config.context
        has_identity = context is not None and context.embedding_width is not None
        self.identity = torch.randn(1, context.embedding_width) if has_identity else None
        self.tokens = torch.randn(1, frames, config.audio.tokens, config.audio.token_width)
        self.mask = torch.rand(1, config.locator.channels_in, 8 * height, 8 * width)
        levels = [(height >> depth) * (width >> depth) for depth in range(4)]
        self.regions = VoiceRegions(tuple(torch.rand(3, 1, places) for places in levels))
        self.x = torch.randn(1, frames, 4, height, width)

    def halves(self, networks: EmoNetworks) -> Halves:
        features = picture_features(networks, self.pictures, self.identity, guided=True)
        return prepare_halves(networks, features, self.tokens, self.mask, self.regions)


@pytest.mark.parametrize(("name", "frames", "height", "width", "widths"), GEOMETRIES)
@torch.inference_mode()
def test_guidance_joined_is_its_halves_apart_and_conditions_kept_are_those_made_anew(
    name, frames, height, width, widths
):
    networks = networks_of(name, frames, widths)
    given = Given(networks, frames, height, width)
    halves, t = given.halves(networks), torch.tensor([637])
    joined = halves.predict(networks.backbone, given.x, t, GUIDANCE)
    assert joined.shape == given.x.shape and bool(joined.isfinite().all())
    c = networks.backbone(given.x, t, given.halves(networks).conditional)
    u = networks.backbone(given.x, t, given.halves(networks).unconditional)
    assert relative_error(joined, (1 - GUIDANCE) * u + GUIDANCE * c) < EXACT
    assert relative_error(u, c) > 1e-3
    again = halves.predict(networks.backbone, given.x, t, GUIDANCE)
    assert torch.equal(joined, again)


@pytest.mark.parametrize(
    ("name", "frames", "height", "width"), [("echomimic", 6, 24, 16), ("v-express", 6, 8, 16)]
)
@torch.inference_mode()
def test_a_window_that_hears_anew_is_one_prepared_from_the_start(name, frames, height, width):
    networks = networks_of(name, frames)
    given, t = Given(networks, frames, height, width), torch.tensor(637)
    features = picture_features(networks, given.pictures, None, guided=True)
    windowed = WindowedConditions(
        networks, prepare_halves(networks, features, None, None), given.tokens, given.mask
    )
    cached = windowed.of(list(range(frames))).predict(networks.backbone, given.x, t, GUIDANCE)
    assert (
        relative_error(cached, given.halves(networks).predict(networks.backbone, given.x, t, GUIDANCE))
        < EXACT
    )


@torch.inference_mode()
def test_moores_poses_reach_both_halves_and_its_picture_token_one():
    """No recordings of Moore-AnimateAnyone exist: this is what is known of its networks."""
    small = {"channels": (32, 64, 64, 64), "heads": 4, "norm_groups": 8}
    config = family_named("moore").config
    config = replace(
        config,
        spatial=replace(config.spatial, **small),
        reference=replace(config.reference, half_precision=False),
        context=replace(config.context, token_width=32),
        temporal=replace(config.temporal, frames_per_clip=6),
    )
    torch.manual_seed(0)
    networks = build_networks(config)
    for parameter in networks.parameters():
        torch.nn.init.normal_(parameter, std=0.06)
    x, t, picture = torch.randn(1, 6, 4, 8, 16), torch.tensor([637]), torch.randn(1, 4, 8, 16)
    token, poses = torch.randn(1, 1, 32), torch.rand(1, 6, 3, 64, 128)

    def predicted(token, poses):
        halves = prepare_halves(networks, picture_features(networks, picture, token, True), None, poses)
        u, c = (networks.backbone(x, t, half) for half in (halves.unconditional, halves.conditional))
        joined = halves.predict(networks.backbone, x, t, GUIDANCE)
        assert relative_error(joined, (1 - GUIDANCE) * u + GUIDANCE * c) < EXACT
        return u, c

    u, c = predicted(token, poses)
    other_u, other_c = predicted(torch.randn(1, 1, 32), poses)
    assert torch.equal(other_u, u) and relative_error(other_c, c) > 1e-4
    other_u, other_c = predicted(token, poses.flip(1))
    assert min(relative_error(other_u, u), relative_error(other_c, c)) > 1e-3


@pytest.mark.parametrize("name", ["hallo", "echomimic", "v-express"])
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float16, 0.01), (torch.bfloat16, 0.08)])
@torch.inference_mode()
def test_half_precision_computes_and_is_near(name, dtype, limit):
    networks = networks_of(name, 2)
    given, t = Given(networks, 2, 8, 8), torch.tensor(637)
    exact = given.halves(networks).predict(networks.backbone, given.x, t, GUIDANCE)
    denoise_in(networks, dtype)
    for key in ("pictures", "tokens", "mask", "x"):
        setattr(given, key, getattr(given, key).to(dtype))
    given.regions = VoiceRegions(tuple(mask.to(dtype) for mask in given.regions.masks))
    rounded = given.halves(networks).predict(networks.backbone, given.x, t, GUIDANCE)
    assert rounded.dtype == dtype and 0 < relative_error(rounded, exact) < limit
