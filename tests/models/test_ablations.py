"""By how much a prediction changes with one of its inputs, against what the families' own code does."""

import json
from dataclasses import replace
from functools import cache

import pytest
import torch
from families import FIXTURES, SMALL, recorded, small_networks
from recorded_steps import RecordedStep, recorded_step
from torch import Tensor

from comfyui_emo.models.build import build_networks
from comfyui_emo.models.reference_net import SiteFeatures
from comfyui_emo.models.region_audio import VoiceRegions
from comfyui_emo.steps.guidance import HalfFeatures


@cache
def unchanged(name: str) -> Tensor:
    """Both halves' predictions of the recorded step."""
    return recorded_step(name).rows()


def changes(before: Tensor, after: Tensor) -> list[float]:
    """Of both halves, relative to their size."""
    return [float((b - a).norm() / a.norm()) for a, b in zip(before, after, strict=True)]


def recorded_changes(name: str, change: str) -> list[float]:
    found = json.loads((FIXTURES / name / "ablations.json").read_text())
    entry = {**found, **found.get("wrong_variants_vs_unet_out_cfg_bank32", {})}[change]
    return [entry["rel_change_uncond_half"], entry["rel_change_cond_half"]]


def assert_changes_as_recorded(name: str, change: str, after: Tensor) -> None:
    found = changes(unchanged(name)[:, : after.shape[1]], after)
    assert found == pytest.approx(recorded_changes(name, change), rel=2e-3, abs=2e-6)


def voice_frame_negated(step: RecordedStep) -> Tensor:
    signs = torch.ones(1, step.voice.shape[1], 1, 1)
    signs[:, 2] = -1
    return step.voice * signs


FAMILIES = ("hallo", "echomimic", "v-express")
COMMON = {
    "audio zeroed": lambda step: {"voice": 0 * step.voice},
    "timestep 637->600": lambda step: {"timestep": 600},
}
KNOWN = {
    ("hallo", "audio tokens x1.1 (cond)"): lambda step: {"voice": 1.1 * step.voice},
    ("hallo", "face locator feature zeroed"): lambda step: {"mask": None},
    ("echomimic", "audio x1.1 (cond)"): lambda step: {"voice": 1.1 * step.voice},
    ("echomimic", "audio frame 2 only negated"): lambda step: {"voice": voice_frame_negated(step)},
    ("echomimic", "face locator feature zeroed"): lambda step: {"mask": None},
    ("v-express", "audio x1.1 (cond)"): lambda step: {"voice": 1.1 * step.voice},
    ("v-express", "audio frame 2 only negated"): lambda step: {"voice": voice_frame_negated(step)},
    ("v-express", "reference latent negated"): lambda step: {"pictures": -step.pictures},
    ("v-express", "kps feature zeroed"): lambda step: {"mask": None},
    **{(name, change): made for name in FAMILIES for change, made in COMMON.items()},
}


@pytest.mark.parametrize(("name", "change"), KNOWN)
def test_a_prediction_changes_as_much_as_in_the_familys_own_code(name, change):
    step = recorded_step(name)
    assert_changes_as_recorded(name, change, step.changed(**KNOWN[name, change](step)).rows())


@pytest.mark.parametrize("region", [0, 1, 2])
def test_hallos_regions_count_as_much_as_in_its_own_code(region):
    step = recorded_step("hallo")
    assert step.regions is not None
    kind = ("full", "face", "lip")[region]
    kept = torch.tensor([float(index != region) for index in range(3)])
    masks = tuple(mask * kept[:, None, None] for mask in step.regions.masks)
    unmasked = step.changed(regions=VoiceRegions(masks, step.regions.weights))
    assert_changes_as_recorded("hallo", f"{kind} mask zeroed", unmasked.rows())
    weights = tuple(weight * float(keep) for weight, keep in zip(step.regions.weights, kept, strict=True))
    unweighted = step.changed(regions=VoiceRegions(step.regions.masks, weights))  # type: ignore[arg-type]
    assert_changes_as_recorded("hallo", f"motion_scale[{region}]=0 ({kind})", unweighted.rows())


@pytest.mark.parametrize("name", ["hallo", "echomimic"])
def test_rounding_the_features_changes_as_much_as_in_the_familys_own_code(name):
    rounded = recorded_step(name, small_networks(SMALL[name], half_precision=True))
    found = changes(unchanged(name), rounded.rows())
    # Which of two neighbours a value is rounded to hangs on its last bit.
    assert found == pytest.approx(recorded_changes(name, "bank fp16 instead of fp32"), rel=0.05, abs=1e-9)


@pytest.mark.parametrize(
    ("part", "change"), [("reference", "reference weight 0.95->1"), ("audio", "audio weight 3->1")]
)
def test_v_expresss_weights_count_as_much_as_in_its_own_code(part, change):
    family = SMALL["v-express"]
    scaled = replace(family.config, **{part: replace(getattr(family.config, part), scale=1.0)})
    other = recorded_step("v-express", small_networks(replace(family, config=scaled)))
    assert_changes_as_recorded("v-express", change, other.rows())


def test_without_the_reference_v_express_changes_as_much_as_in_its_own_code():
    step = recorded_step("v-express")
    conditional, unconditional = step.features()
    assert conditional.portrait is not None
    empty = tuple(
        SiteFeatures(None if site.reference is None else 0 * site.reference, site.output)
        for site in conditional.portrait
    )
    after = step.rows((replace(conditional, portrait=empty), unconditional))
    assert_changes_as_recorded("v-express", "reference bank zeroed", after)


@pytest.mark.parametrize("name", ["echomimic", "v-express"])
def test_frames_see_each_other_as_much_as_in_the_familys_own_code(name):
    step = recorded_step(name)
    latents = step.latents.clone()
    latents[:, 3] *= -1
    change = "latent frame 3 negated -> change in frame 0 (temporal path)"
    assert_changes_as_recorded(name, change, step.changed(latents=latents).rows()[:, :1])


class TestHallosTraps:
    """What looks right and is not must be as wrong as it was found to be."""

    @staticmethod
    def wrong(change: str, features=None, networks=None) -> None:
        other = recorded_step("hallo", networks)
        assert_changes_as_recorded("hallo", f"WRONG: {change}", other.rows(features))

    def test_features_of_the_own_half(self):
        family = SMALL["hallo"]
        reference = replace(family.config.reference, in_turn=False, half_precision=False)
        networks = small_networks(replace(family, config=replace(family.config, reference=reference)))
        self.wrong("reference features by block (own CFG half) in the denoising net", networks=networks)

    def test_no_motion_frames(self):
        both: list[HalfFeatures] = [half for half in recorded_step("hallo").features() if half is not None]
        still = tuple(replace(half, motion=None) for half in both)
        networks = small_networks(SMALL["hallo"], half_precision=False)
        backbone = networks.backbone
        backbone.motion_frames, kept = 0, backbone.motion_frames
        try:
            self.wrong("no motion frames prepended", features=still)
        finally:
            backbone.motion_frames = kept

    def test_an_unconditional_half_that_sees_the_portrait(self):
        conditional, unconditional = recorded_step("hallo").features()
        assert unconditional is not None
        told = replace(unconditional, portrait=conditional.portrait)
        self.wrong("uncond row reads reference too", features=(conditional, told))

    def test_temporal_modules_everywhere(self):
        family = SMALL["hallo"]
        config = replace(
            family.config,
            temporal=replace(family.config.temporal, every_site=True),
            reference=replace(family.config.reference, half_precision=False),
        )
        everywhere = replace(family, config=config, unused=())
        known = small_networks(family).state_dict()
        published = recorded("hallo", "weights/net") | recorded("hallo", "never_run")
        unused = [name for name in published if family.own_name(name) is None]
        known |= {str(everywhere.own_name(name)): published[name] for name in unused}
        networks = build_networks(config, "meta")
        # Other tests may have given the shared networks a VAE and a voice encoder.
        outside = ("autoencoder.", "voice_encoder.")
        networks.load_state_dict(
            {name: value for name, value in known.items() if not name.startswith(outside)}, assign=True
        )
        networks.backbone.motion_frames = 0  # levels without attention have no features to see of them
        attended = [site.transformer is not None for site in networks.backbone.sites]
        seen = tuple(
            replace(half, motion=tuple(map(self.only_if, half.motion, attended)))  # type: ignore[arg-type]
            for half in recorded_step("hallo", networks).features()
            if half is not None and half.motion is not None
        )
        self.wrong("motion modules also run in down_blocks.3 and up_blocks.0", seen, networks)

    @staticmethod
    def only_if(motion: Tensor, kept: bool) -> Tensor | None:
        return motion if kept else None
