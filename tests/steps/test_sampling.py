"""The sampler: schedulers recover a known clip, guidance, motion frames, progress."""

from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from comfyui_emo.errors import InputError
from comfyui_emo.models.avatar import avatar_config
from comfyui_emo.models.build import build_networks
from comfyui_emo.models.conditions import ClipConditions
from comfyui_emo.models.speed_layers import speed_buckets
from comfyui_emo.steps import sampling
from comfyui_emo.steps.head_motion import HeadMotion, SpeedCurve, motion_of_style
from comfyui_emo.steps.reference import Reference
from comfyui_emo.steps.sampler_state import SamplerState
from comfyui_emo.steps.sampling import denoise_clip, sample_clips
from comfyui_emo.steps.sampling_settings import SamplingSettings
from comfyui_emo.steps.schedulers import SCHEDULER_NAMES, make_scheduler, signal_levels
from comfyui_emo.steps.timeline import Timeline


@pytest.fixture(scope="module")
def networks():
    config = replace(avatar_config(), appearance=None)
    spatial = replace(config.spatial, latent_channels=8, channels=(16, 24), attention_levels=(True, True))
    audio = replace(config.audio, feature_width=20, hidden_width=16, tokens=3, token_width=12)
    temporal = replace(config.temporal, frames_per_clip=4, motion_frames=2)
    small = replace(
        config, spatial=spatial, audio=audio, temporal=temporal, autoencoder=None, voice_encoder=None
    )
    torch.manual_seed(0)
    built = build_networks(small)
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return built


class KnownClip:
    """Predicts the exact velocity of one known clip; says how often it was asked."""

    def __init__(self, x0: torch.Tensor):
        self.x0 = x0
        self.levels = signal_levels(avatar_config().diffusion)
        self.calls = 0

    def __call__(self, x, t, conditions):
        self.calls += 1
        level = self.levels[int(t)]
        if level == 0:
            return -self.x0
        noise = (x - level.sqrt() * self.x0) / (1 - level).sqrt()
        return level.sqrt() * noise - (1 - level).sqrt() * self.x0


def scheduler_with(name: str, steps: int):
    scheduler = make_scheduler(name, avatar_config().diffusion)
    scheduler.set_timesteps(steps)  # pyright: ignore[reportAttributeAccessIssue]
    return scheduler


@pytest.mark.parametrize("steps", [1, 4, 20])
def test_ddim_recovers_a_clip_whose_velocity_is_known(steps):
    x0 = torch.randn(1, 4, 8, 4, 4)
    result = denoise_clip(
        KnownClip(x0),
        torch.randn_like(x0),
        ClipConditions((), None),
        scheduler_with("ddim", steps),
        SamplingSettings(steps),
    )
    torch.testing.assert_close(result, x0, atol=0.06, rtol=0)


@pytest.mark.parametrize("name", SCHEDULER_NAMES)
def test_every_scheduler_runs_from_noise_to_a_clip(name, networks):
    latents = sample(networks, SamplingSettings(4, name))
    assert latents.isfinite().all() and latents.shape == (1, 10, 8, 8, 8)


def test_without_guidance_nothing_unconditional_is_computed():
    x0 = torch.randn(1, 2, 8, 4, 4)
    for guidance, share, calls in ((1, 1, 3), (2, 1, 6), (2, 0.4, 5), (2, 1 / 3, 4), (2, 0.01, 4)):
        known = KnownClip(x0)
        settings = SamplingSettings(3, voice_guidance=guidance, guided_share=share)
        scheduler = scheduler_with("ddim", 3)
        denoise_clip(known, torch.randn_like(x0), ClipConditions((), None), scheduler, settings)
        assert known.calls == calls


def test_the_first_steps_are_the_guided_ones():
    asked = []

    def backbone(x, t, conditions):
        asked.append((int(t), conditions))
        return torch.zeros_like(x)

    told = SimpleNamespace(without_voice=lambda: "no voice", without_portrait=lambda: "no portrait")
    scheduler = scheduler_with("ddim", 4)
    settings = SamplingSettings(4, voice_guidance=2.0, guided_share=0.5)
    denoise_clip(backbone, torch.zeros(1, 1, 1, 1, 1), told, scheduler, settings)  # pyright: ignore[reportArgumentType]
    noisiest = [int(t) for t in scheduler.timesteps[:2]]  # pyright: ignore[reportAttributeAccessIssue]
    assert [t for t, conditions in asked if conditions == "no voice"] == noisiest
    assert len(asked) == 6


class OneStep:
    """A scheduler of one step whose result is the prediction itself."""

    init_noise_sigma = 1.0
    timesteps = torch.tensor([10])
    alphas_cumprod = torch.full((11,), 0.64)
    config = SimpleNamespace(prediction_type="v_prediction")

    def scale_model_input(self, x, t):
        return x

    def step(self, v, t, x):
        return SimpleNamespace(prev_sample=v)


@pytest.mark.parametrize("voice, portrait", [(2.5, 1), (1, 1.5), (2.5, 1.5)])
def test_guidance_moves_away_from_the_predictions_without_voice_and_portrait(voice, portrait):
    told = SimpleNamespace(without_voice=lambda: "no voice", without_portrait=lambda: "no portrait")
    asked = []

    def backbone(x, t, conditions):
        asked.append(conditions)
        without = {"no voice": 1.0, "no portrait": 2.0}
        return torch.full_like(x, 3.0 if conditions is told else without[conditions])

    settings = SamplingSettings(1, voice_guidance=voice, portrait_guidance=portrait)
    result = denoise_clip(backbone, torch.zeros(1, 1, 1, 1, 1), told, OneStep(), settings)  # pyright: ignore[reportArgumentType]
    assert float(result) == pytest.approx(3 + (voice - 1) * (3 - 1) + (portrait - 1) * (3 - 2))
    assert len(asked) == 1 + (voice != 1) + (portrait != 1)


def test_each_step_tells_the_clean_latents_that_its_prediction_means():
    x0, noise, told = torch.randn(1, 2, 8, 4, 4), torch.randn(1, 2, 8, 4, 4), []
    conditions = ClipConditions((), None)
    for name in SCHEDULER_NAMES:
        scheduler = scheduler_with(name, 3)
        denoise_clip(  # pyright: ignore[reportArgumentType]
            KnownClip(x0),
            noise,
            conditions,
            scheduler,
            SamplingSettings(3),
            lambda step, clean: told.append(clean),
        )
    assert len(told) == 3 * len(SCHEDULER_NAMES)
    for clean in told:
        torch.testing.assert_close(clean, x0, atol=0.06, rtol=0)


def sample(networks, settings: SamplingSettings, samples: int = 6400, **options) -> torch.Tensor:
    return torch.cat(list(clips_of(networks, settings, samples, **options)), dim=1)


def clips_of(
    networks,
    settings: SamplingSettings,
    samples: int = 6400,
    progress=lambda p: None,
    motion: HeadMotion | None = None,
    state: SamplerState | None = None,
):
    """10 frames of 0.4 s of voice at 25 fps, in 3 clips of 4."""
    generator = torch.Generator().manual_seed(5)
    timeline = Timeline(samples, 16000, 25, networks.config.temporal.frames_per_clip)
    latents = torch.randn(1, 8, 8, 8, generator=generator)
    with torch.no_grad():
        reference = Reference(latents, networks.reference_net(latents))
    features = torch.randn(1, timeline.padded_frame_count, 20, generator=generator)
    mask = torch.ones(1, 1, 16, 16)
    motion = motion or HeadMotion(0.5)
    return sample_clips(
        networks, reference, features, mask, motion, timeline, settings, progress, state=state
    )


def test_the_tail_is_cut_to_the_voice(networks):
    assert sample(networks, SamplingSettings(2)).shape[1] == 10


def test_the_same_seed_gives_the_same_clip(networks):
    first = sample(networks, SamplingSettings(2, seed=1))
    assert torch.equal(first, sample(networks, SamplingSettings(2, seed=1)))
    assert not torch.allclose(first, sample(networks, SamplingSettings(2, seed=2)))


def test_less_noise_brings_different_seeds_closer(networks):
    def spread(noise_scale: float) -> float:
        one, two = (sample(networks, SamplingSettings(2, noise_scale=noise_scale, seed=s)) for s in (1, 2))
        return float((one - two).norm())

    assert spread(0.3) < 0.5 * spread(1.0)


def test_a_clip_starts_from_the_last_frames_of_the_one_before(networks, monkeypatch):
    seen = []
    original = networks.backbone.prepare

    def prepare(portrait, motion, *rest):
        seen.append(motion)
        return original(portrait, motion, *rest)

    monkeypatch.setattr(networks.backbone, "prepare", prepare)
    latents = sample(networks, SamplingSettings(2))
    assert seen[0] is None
    with torch.no_grad():
        expected = networks.reference_net(latents[0, 2:4])
    for site, given in zip(expected, seen[1], strict=True):
        torch.testing.assert_close(given[0], site.output)


def test_later_steps_do_without_the_motion_frames_if_so_chosen(networks):
    always, at_first = (sample(networks, SamplingSettings(4, motion_share=share)) for share in (1.0, 0.25))
    torch.testing.assert_close(always[:, :4], at_first[:, :4])  # the first clip has none
    assert not torch.allclose(always[:, 4:], at_first[:, 4:])
    assert SamplingSettings(4, motion_share=0.25).motion_steps == 1


def test_conditions_without_motion_are_those_of_a_first_clip(networks):
    generator = torch.Generator().manual_seed(2)
    pictures = networks.reference_net(torch.randn(3, 8, 8, 8, generator=generator))
    portrait = networks.reference_net(torch.randn(1, 8, 8, 8, generator=generator))
    motion = tuple(site.output[None, :2] for site in pictures)
    told = networks.backbone.prepare(portrait, motion, None, None, None)
    forgot = networks.backbone.without_motion(told)
    first = networks.backbone.prepare(portrait, None, None, None, None)
    for site, given, expected in zip(told.sites, forgot.sites, first.sites, strict=True):
        torch.testing.assert_close(given.motion, expected.motion)
        assert not torch.allclose(given.motion, site.motion)


def test_what_a_seam_adds_fades_as_said(networks, monkeypatch):
    """The Backbone's clips are constant, 1, 2, 3, ...: each is moved to the one before, less and less."""
    drawn = iter(range(1, 4))

    def constant_clip(backbone, noise, *_):
        return torch.full_like(noise, next(drawn))

    monkeypatch.setattr(sampling, "denoise_clip", constant_clip)
    frames = sample(networks, SamplingSettings(2, seam_fade_frames=2.0))[0, :, 0, 0, 0]
    assert frames[:4].tolist() == [1, 1, 1, 1]
    fade = torch.exp(-torch.arange(1, 5) / 2.0)
    torch.testing.assert_close(frames[4:8], 2 - fade)
    torch.testing.assert_close(frames[8:], 3 + (frames[7] - 3) * fade[:2])


@pytest.mark.parametrize("clips_done", [1, 2, 3])
@pytest.mark.parametrize("correlation_frames", [0.0, 5.0])
@pytest.mark.parametrize("seam_fade_frames", [0.0, 5.0])
def test_a_sampler_goes_on_from_its_state_as_if_never_stopped(
    networks, monkeypatch, clips_done, correlation_frames, seam_fade_frames
):
    diffusion = replace(networks.config.diffusion, noise_correlation_frames=correlation_frames)
    monkeypatch.setattr(networks, "config", replace(networks.config, diffusion=diffusion))
    settings = SamplingSettings(2, seed=3, seam_fade_frames=seam_fade_frames)
    whole = list(clips_of(networks, settings))
    before = SamplerState.start(networks.config, (8, 8, 8), settings.seed)
    running = clips_of(networks, settings, state=before)
    for _ in range(clips_done):
        next(running)
    kept = {name: tensor.clone() for name, tensor in before.to_tensors().items()}
    after = SamplerState.start(networks.config, (8, 8, 8), seed=0)
    after.set_tensors(kept, clips_done)
    rest = list(clips_of(networks, settings, state=after))
    assert len(rest) == 3 - clips_done
    assert all(torch.equal(a, b) for a, b in zip(whole[clips_done:], rest, strict=True))


def test_each_clip_gets_its_own_part_of_a_speed_curve(networks, monkeypatch):
    seen = []
    original = networks.backbone.prepare

    def prepare(*conditions):
        seen.append(conditions[-1])
        return original(*conditions)

    monkeypatch.setattr(networks.backbone, "prepare", prepare)
    curve = SpeedCurve(((0.0, 0.2), (0.4, 1.0)))
    sample(networks, SamplingSettings(2, speed_gain=1.5), motion=HeadMotion(curve))
    speeds = 1.5 * torch.from_numpy(curve.speeds_at(np.arange(12) / 25)).float()  # 3 clips of 4 frames
    for given, clip in zip(seen, speeds.split(4), strict=True):
        torch.testing.assert_close(given, speed_buckets(clip[None], networks.config.speed))


def test_progress_counts_steps_and_clips(networks):
    told = []
    sample(networks, SamplingSettings(2), progress=told.append)
    first, last = ((at.clip, at.clips, at.step, at.steps) for at in (told[0], told[-1]))
    assert (first, last) == ((1, 3, 1, 2), (3, 3, 2, 2))
    assert [at.steps_done for at in told] == [1, 2, 3, 4, 5, 6]
    assert len(told) == 6


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps": 0}, "steps 0"),
        ({"steps": 1001}, "steps 1001"),
        ({"voice_guidance": 0.5}, "guidance 0.5"),
        ({"noise_scale": 0}, "noise scale 0"),
        ({"guided_share": 0}, "guided share 0"),
        ({"motion_share": 0}, "motion share 0"),
        ({"speed_gain": 0}, "speed gain 0"),
        ({"seam_fade_frames": -1}, "seam fade of -1 frames"),
        ({"guided_share": 1.5}, "guided share 1.5"),
        ({"pose_noise_scale": 0}, "pose noise scale 0"),
        ({"pose_noise_scale": 2.5}, "pose noise scale 2.5"),
        ({"pose_noise_share": 0}, "pose noise share 0"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_settings_out_of_range_are_named(changes, said):
    with pytest.raises(InputError, match=said):
        SamplingSettings(**{"steps": 4, **changes})


def test_unknown_scheduler_lists_the_known_ones():
    with pytest.raises(InputError, match="ddim, dpm"):
        make_scheduler("magic", avatar_config().diffusion)


def test_styles_are_the_models_and_livelier_ones_get_more_room():
    defaults = avatar_config().defaults
    calm, active = motion_of_style("calm", defaults), motion_of_style("active", defaults)
    assert (calm.speed, active.speed) == (defaults.calm, defaults.active)
    assert active.movement_margin > calm.movement_margin
    with pytest.raises(InputError, match="calm, normal, active"):
        motion_of_style("wild", defaults)
    with pytest.raises(InputError, match="head speed 9"):
        HeadMotion(9)


def test_networks_in_half_precision_sample_nearly_the_same_clip(networks):
    settings = SamplingSettings(2, voice_guidance=1.5)
    full = sample(networks, settings)
    half = sample(deepcopy(networks).to(torch.bfloat16), settings)
    assert half.dtype == torch.float32 and not torch.equal(half, full)
    assert (half - full).norm() <= 0.05 * full.norm()
