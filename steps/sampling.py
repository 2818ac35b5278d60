"""The sampler: clip after clip, from noise to latents (paper, sections 3.2 and 3.3)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from ..models.audio_layers import feature_windows
from ..models.backbone import Backbone
from ..models.build import EmoNetworks
from ..models.conditions import ClipConditions
from ..models.config import EmoConfig
from ..models.speed_layers import speed_buckets
from .head_motion import HeadMotion
from .pose_noise import bring_pose_noise_down, scaled_noise
from .reference import Reference, motion_features
from .sampler_state import SamplerState
from .sampling_settings import SamplingSettings
from .schedulers import make_scheduler, predicted_clean
from .timeline import ClipSpan, Timeline
from .voice_encoding import VoiceStream


@dataclass(frozen=True, eq=False)
class Progress:
    """Where a run is: `step` of `steps` in clip `clip` of `clips`, all counted from 1 when done.

    Attributes:
        clean: the clip's latents without noise, as this step predicts them [1, F, C, h, w].
    """

    clip: int
    clips: int
    step: int
    steps: int
    clean: Tensor

    @property
    def steps_done(self) -> int:
        """Finished steps of the whole run."""
        return (self.clip - 1) * self.steps + self.step


OnProgress = Callable[[Progress], None]
OnStep = Callable[[int, Tensor], None]


def no_progress(_: Progress) -> None:
    """For callers who do not watch."""


def no_step(_step: int, _clean: Tensor) -> None:
    """For callers who do not watch."""


def denoise_clip(
    backbone: Backbone,
    noise: Tensor,
    conditional: ClipConditions,
    scheduler: Any,
    settings: SamplingSettings,
    on_step: OnStep = no_step,
) -> Tensor:
    """From noise [1, F, C, h, w] to the clip's latents, of the same shape.

    With guidance: v + (g_voice - 1) * (v - v_voiceless) + (g_portrait - 1) * (v - v_portraitless), where a
    scale of 1 costs nothing. The scheduler has its timesteps set; `on_step` is told of each finished step,
    from 1, and of the clean latents as they are then predicted, of x's shape.
    """
    seen = conditional
    guided = _guided_halves(seen, settings)
    x = noise * scheduler.init_noise_sigma
    for step, t in enumerate(scheduler.timesteps, start=1):
        if step == settings.motion_steps + 1:
            seen = backbone.without_motion(conditional)
            guided = _guided_halves(seen, settings)
        x_in, timestep = scheduler.scale_model_input(x, t), t[None].to(x.device)
        c = backbone(x_in, timestep, seen)
        halves = guided if step <= settings.guided_steps else []
        v = c + sum(weight * (c - backbone(x_in, timestep, without)) for weight, without in halves)
        x = scheduler.step(v, t, x).prev_sample
        clean = predicted_clean(scheduler, x_in, v, t)
        if step == settings.pose_noise_steps and step < settings.steps:
            x = bring_pose_noise_down(x, clean, scheduler, step, settings)
        on_step(step, clean)
    return x


def _guided_halves(seen: ClipConditions, settings: SamplingSettings) -> list[tuple[float, ClipConditions]]:
    """The unconditional halves of guidance, each with its weight."""
    voice, portrait = settings.voice_guidance, settings.portrait_guidance
    scales = (voice, seen.without_voice), (portrait, seen.without_portrait)
    return [(scale - 1, without()) for scale, without in scales if scale != 1]


def _windows(features: Tensor | VoiceStream, first_frame: int, count: int, reach: int) -> Tensor:
    if isinstance(features, VoiceStream):
        return features.windows(first_frame, count, reach)
    return feature_windows(features, reach, first_frame, count)


def first_state(
    config: EmoConfig, latent_shape: Sequence[int], seed: int, earlier: Tensor | None = None
) -> SamplerState:
    """Where the sampler stands before the first clip; latent_shape is (C, h, w).

    earlier: latents [1, n or more, C, h, w] of the frames before it; None: there are none.

    Raises:
        InputError: fewer earlier frames than the model has motion frames.
    """
    state = SamplerState.start(config, latent_shape, seed)
    state.last = None if earlier is None else _last_frames(None, earlier, config)
    return state


@torch.inference_mode()
def sample_clips(
    networks: EmoNetworks,
    reference: Reference,
    voice_features: Tensor | VoiceStream,
    mask: Tensor,
    motion: HeadMotion,
    timeline: Timeline,
    settings: SamplingSettings,
    on_progress: OnProgress = no_progress,
    earlier: Tensor | None = None,
    state: SamplerState | None = None,
) -> Iterator[Tensor]:
    """The latents of clip after clip [1, F, C, h, w], each started from the last n frames of the one before.

    With a seam fade, a clip starts one frame early and is moved to where the one before has ended.

    Args:
        networks: on the device of `reference`.
        reference: from `run_reference_net`.
        voice_features: of all generated frames [1, padded frames, D], on any device, from `encode_voice`; or
            a stream of them.
        mask: the movement region [1, 1, s*h, s*w], s the model's `mask_scale`.
        motion: the head's speed, constant or over time.
        timeline: of the voice; its clip length may differ from the one that the model was trained on.
        settings: steps, scheduler, guidance, seed.
        on_progress: told of every finished step; may raise to cancel.
        earlier: latents [1, n or more, C, h, w] of the frames before the first clip; None: there are none.
        state: where to go on; before each clip is handed out it says where to go on after it.
    """
    config = networks.config
    device = reference.latents.device
    if state is None:
        state = first_state(config, reference.latents.shape[1:], settings.seed, earlier)
    run = _Run(
        networks, reference, voice_features, mask.to(device), motion, settings.speed_gain, timeline
    )
    for index in range(state.clips_done, timeline.clip_count):
        span = timeline.clip(index)
        scheduler = make_scheduler(settings.scheduler, config.diffusion)
        scheduler.set_timesteps(settings.steps, device=device)  # type: ignore[attr-defined]
        noise = state.noise.next(span.frame_count)
        early = _frames_early(state, config, settings)
        begun = noise if early == 0 else torch.cat([state.last_noise, noise], dim=1)  # type: ignore[list-item]

        def on_step(step: int, clean: Tensor, clip: int = index + 1, early: int = early) -> None:
            on_progress(Progress(clip, timeline.clip_count, step, settings.steps, clean[:, early:]))

        latents = denoise_clip(
            networks.backbone,
            scaled_noise(begun.to(device), settings),
            run.conditions(span, state, early),
            scheduler,
            settings,
            on_step,
        )
        if early:
            shown = state.last[:, -1:].to(device)  # type: ignore[index]
            latents = _joined(shown, latents, settings.seam_fade_frames)
        state.last, state.last_noise = _last_frames(state.last, latents, config), noise[:, -1:].clone()
        state.clips_done += 1
        yield latents[:, : span.kept_frames]


@dataclass(frozen=True, eq=False)
class _Run:
    """What all clips of a video are sampled from."""

    networks: EmoNetworks
    reference: Reference
    voice_features: Tensor | VoiceStream
    mask: Tensor
    motion: HeadMotion
    speed_gain: float
    timeline: Timeline

    def conditions(self, span: ClipSpan, state: SamplerState, early: int) -> ClipConditions:
        """Of a clip that starts `early` frames before its span."""
        networks, device = self.networks, self.mask.device
        config = networks.config
        first_frame, count = span.first_frame - early, span.frame_count + early
        windows = _windows(self.voice_features, first_frame, count, config.audio.window)  # [1, F, 2m+1, D]
        tokens = networks.audio_projection(windows.to(device))
        before = None
        if state.last is not None and config.temporal.motion_frames:
            end = state.last.shape[1] - early
            before = state.last[:, end - config.temporal.motion_frames : end]
        motion = None if before is None else motion_features(networks, before.to(device))
        speeds = self.speed_gain * self.motion.speeds(first_frame, count, self.timeline.fps)
        speed = speed_buckets(speeds.to(device), config.speed)
        return networks.backbone.prepare(self.reference.features, motion, tokens, self.mask, speed)


def _frames_early(state: SamplerState, config: EmoConfig, settings: SamplingSettings) -> int:
    """How many frames before its span the next clip starts; what it needs of them must be known."""
    known = state.last is not None and state.last.shape[1] > config.temporal.motion_frames
    return 1 if settings.seam_fade_frames and known and state.last_noise is not None else 0


def _joined(shown: Tensor, latents: Tensor, fade_frames: float) -> Tensor:
    """A clip's new frames [1, F, C, h, w], moved so that they go on from the frame that is shown.

    Args:
        shown: the last frame of the clip before [1, 1, C, h, w].
        latents: the clip from that same frame on [1, 1 + F, C, h, w].
        fade_frames: frames over which what is added falls to 1/e.
    """
    offset, new = shown - latents[:, :1], latents[:, 1:]
    ages = torch.arange(1, new.shape[1] + 1, device=new.device)
    return new + torch.exp(-ages / fade_frames).to(new.dtype).view(1, -1, 1, 1, 1) * offset


def _last_frames(before: Tensor | None, latents: Tensor, config: EmoConfig) -> Tensor:
    """The last n + 1 frames [1, n + 1, C, h, w], or as many as there are.

    Raises:
        InputError: there are fewer than n.
    """
    wanted = config.temporal.motion_frames
    if latents.shape[1] < wanted:
        raise InputError(
            got=f"{latents.shape[1]} frames to go on from",
            allowed=f"{wanted} or more: as many motion frames has the model",
            do="use clips of that length or more, and give that many earlier frames",
        )
    known = latents if before is None else torch.cat([before.to(latents), latents], dim=1)
    # A copy of one layout: what is computed of it is then the same after a way through a file.
    return known[:, -wanted - 1 :].clone(memory_format=torch.contiguous_format)
