"""The sampler: clip after clip, from noise to latents (paper, sections 3.2 and 3.3)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from ..models.audio_layers import feature_windows
from ..models.backbone import Backbone, ClipConditions
from ..models.build import EmoNetworks
from ..models.config import EmoConfig
from ..models.speed_layers import speed_buckets
from .head_motion import HeadMotion
from .noise import FrameNoise
from .reference import Reference, motion_features
from .schedulers import make_scheduler
from .timeline import Timeline
from .voice_encoding import VoiceStream

MAX_STEPS = 1000


@dataclass(frozen=True)
class SamplingSettings:
    """How to sample.

    Attributes:
        steps: denoising steps a clip.
        scheduler: a name of `SCHEDULER_NAMES`.
        voice_guidance: guidance scale of the voice; 1 leaves the unconditional half out.
        noise_scale: deviation of the noise that every clip starts from, 1 as in training.
        seed: of the noise; the same seed gives the same video.
    """

    steps: int
    scheduler: str = "ddim"
    voice_guidance: float = 1.0
    noise_scale: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= MAX_STEPS:
            raise InputError(
                got=f"steps {self.steps}", allowed=f"1 to {MAX_STEPS}", do="set steps, for example to 8"
            )
        if not 1 <= self.voice_guidance <= 20:
            raise InputError(
                got=f"guidance {self.voice_guidance:g}",
                allowed="1 (off) to 20",
                do="set the guidance, for example to 1.5",
            )
        if not 0 < self.noise_scale <= 1:
            raise InputError(
                got=f"noise scale {self.noise_scale:g}",
                allowed="above 0, up to 1",
                do="set it, for example to 0.8",
            )
        if not 0 <= self.seed < 2**63:
            raise InputError(got=f"seed {self.seed}", allowed="0 to 2**63 - 1", do="choose another seed")


@dataclass(frozen=True)
class Progress:
    """Where a run is: `step` of `steps` in clip `clip` of `clips`, all counted from 1 when done."""

    clip: int
    clips: int
    step: int
    steps: int


OnProgress = Callable[[Progress], None]


def no_progress(_: Progress) -> None:
    """For callers who do not watch."""


@dataclass
class SamplerState:
    """Where the sampler stands between two clips; `sample_clips` keeps it up to date.

    Attributes:
        noise: of the clips to come.
        clips_done: clips that are sampled.
        last: latents of the last n frames [1, n, C, h, w]; None before the first clip, or without motion
            frames.
    """

    noise: FrameNoise
    clips_done: int = 0
    last: Tensor | None = None

    @classmethod
    def start(cls, config: EmoConfig, latent_shape: Sequence[int], seed: int) -> "SamplerState":
        """Before the first clip; latent_shape is (C, h, w)."""
        return cls(FrameNoise(config.diffusion.noise_correlation_frames, latent_shape, seed))

    def to_tensors(self) -> dict[str, Tensor]:
        """For a file; `clips_done` is not in it."""
        last = {} if self.last is None else {"last": self.last.cpu()}
        return {**self.noise.state(), **last}

    def set_tensors(self, tensors: Mapping[str, Tensor], clips_done: int) -> None:
        """Go on after so many clips, from what `to_tensors` gave then."""
        self.noise.set_state(tensors)
        self.clips_done, self.last = clips_done, tensors.get("last")


def denoise_clip(
    backbone: Backbone,
    noise: Tensor,
    conditional: ClipConditions,
    scheduler: Any,
    guidance: float,
    on_step: Callable[[int], None] = lambda step: None,
) -> Tensor:
    """From noise [1, F, C, h, w] to the clip's latents, of the same shape.

    With guidance g: u + g * (c - u), where u is the prediction without voice. The scheduler has its timesteps
    set; `on_step` is told of each finished step, from 1.
    """
    unconditional = conditional.without_voice() if guidance != 1 else None
    x = noise * scheduler.init_noise_sigma
    for step, t in enumerate(scheduler.timesteps, start=1):
        x_in = scheduler.scale_model_input(x, t)
        v = backbone(x_in, t[None].to(x.device), conditional)
        if unconditional is not None:
            u = backbone(x_in, t[None].to(x.device), unconditional)
            v = u + guidance * (v - u)
        x = scheduler.step(v, t, x).prev_sample
        on_step(step)
    return x


def _windows(features: Tensor | VoiceStream, first_frame: int, count: int, reach: int) -> Tensor:
    if isinstance(features, VoiceStream):
        return features.windows(first_frame, count, reach)
    return feature_windows(features, reach, first_frame, count)


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
    state: SamplerState | None = None,
) -> Iterator[Tensor]:
    """The latents of clip after clip [1, F, C, h, w], each started from the last n frames of the one before.

    Args:
        networks: on the device of `reference`.
        reference: from `run_reference_net`.
        voice_features: of all generated frames [1, padded frames, D], from `encode_voice`; or a stream of
            them.
        mask: the movement region [1, 1, s*h, s*w], s the model's `mask_scale`.
        motion: the head's speed.
        timeline: of the voice, with the model's clip length.
        settings: steps, scheduler, guidance, seed.
        on_progress: told of every finished step; may raise to cancel.
        state: where to go on; before each clip is handed out it says where to go on after it.
    """
    config = networks.config
    device = reference.latents.device
    count, motion_frames = config.temporal.frames_per_clip, config.temporal.motion_frames
    speed = speed_buckets(motion.speeds(count).to(device), config.speed)
    state = state or SamplerState.start(config, reference.latents.shape[1:], settings.seed)
    for index in range(state.clips_done, timeline.clip_count):
        span = timeline.clip(index)
        windows = _windows(voice_features, span.first_frame, count, config.audio.window)  # [1, F, 2m+1, D]
        tokens = networks.audio_projection(windows)
        before = None if state.last is None else motion_features(networks, state.last.to(device))
        conditions = networks.backbone.prepare(reference.features, before, tokens, mask.to(device), speed)
        scheduler = make_scheduler(settings.scheduler, config.diffusion)
        scheduler.set_timesteps(settings.steps, device=device)  # type: ignore[attr-defined]

        def on_step(step: int, clip: int = index + 1) -> None:
            on_progress(Progress(clip, timeline.clip_count, step, settings.steps))

        latents = denoise_clip(
            networks.backbone,
            settings.noise_scale * state.noise.next(count).to(device),
            conditions,
            scheduler,
            settings.voice_guidance,
            on_step,
        )
        motion_latents = latents[:, count - motion_frames :]
        # A copy of one layout: what is computed of it is then the same after a way through a file.
        state.last = motion_latents.clone(memory_format=torch.contiguous_format) if motion_frames else None
        state.clips_done += 1
        yield latents[:, : span.kept_frames]
