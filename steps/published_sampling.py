"""The sampling loops of models of published weights: from noise to latents, clip by clip or in windows."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from ..errors import InputError
from ..models.build import EmoNetworks
from ..models.config import EmoConfig
from ..models.region_audio import VoiceRegions
from .face_embedding import check_face_embedding
from .face_guide import FaceGuide, fitted_drawings
from .face_region import FaceRegion
from .guidance import denoise_halves, picture_features, prepare_halves
from .noise import FrameNoise, WhiteNoise
from .portrait import FittedPortrait
from .region_masks import draw_key_points, key_points_of, lip_region, rectangle, voice_regions, widened
from .sampler_state import SamplerState, WindowedState
from .sampling import OnProgress, Progress
from .sampling_settings import SamplingSettings
from .schedulers import make_scheduler
from .timeline import Timeline
from .windows import Keep, WindowedConditions, denoise_windows, keep_nothing, whole_windows

log = logging.getLogger(__name__)

# How much larger than the face its mask is, a side: as in the published preparations.
_MASK_MARGIN = 1.2


class PictureCoder(Protocol):
    """What is asked of an autoencoder; latents in its own scale."""

    def encode(self, pixels: Tensor) -> Tensor:
        """Pixels [B, 3, 8h, 8w] in 0..1 -> latents [B, C, h, w]."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, C, h, w] -> pixels [B, 3, 8h, 8w], about 0..1."""
        ...


@dataclass(frozen=True, eq=False)
class PublishedPortrait:
    """A portrait as a model of published weights is told of it.

    Attributes:
        latents: [1, C, h, w] as the networks see them, scaled.
        region: the face in the picture.
        size_px: (width, height) of the picture; the same where the voice is heard region by region.
        identity: a face embedding [1, E]; None: no known face.
        drawings: how the head moves [1 or F, 3, H, W], 8 bits a channel, on the CPU; None: not given.
    """

    latents: Tensor
    region: FaceRegion
    size_px: tuple[int, int]
    identity: Tensor | None = None
    drawings: Tensor | None = None

    def to(self, like: Tensor) -> "PublishedPortrait":
        """The same on the device and in the dtype of a tensor."""
        identity = None if self.identity is None else self.identity.to(like)
        return replace(self, latents=self.latents.to(like), identity=identity)


@dataclass(frozen=True, eq=False)
class PublishedRun:
    """What all frames of a run share.

    Attributes:
        networks: on the device.
        coder: turns the last frames of a clip into what the next clip sees; asked by models of clips only.
        portrait: on the device, in the networks' dtype.
        rows: what frames hear [1, N, rows, D], likewise.
        timeline: of the voice.
        settings: steps, scheduler, guidance, seed.
        on_progress: told of every step.
    """

    networks: EmoNetworks
    coder: PictureCoder
    portrait: PublishedPortrait
    rows: Tensor
    timeline: Timeline
    settings: SamplingSettings
    on_progress: OnProgress

    @property
    def guided(self) -> bool:
        """Whether there is an unconditional half."""
        return self.settings.voice_guidance != 1

    def scheduler(self):
        """A scheduler with its timesteps set."""
        made = make_scheduler(self.settings.scheduler, self.networks.config.diffusion)
        made.set_timesteps(self.settings.steps, device=self.portrait.latents.device)  # type: ignore[attr-defined]
        return made

    def noise(self, source: FrameNoise | WhiteNoise, frame_count: int) -> Tensor:
        """The noise [1, F, C, h, w] that a clip or a whole video starts from."""
        return (source.next(frame_count) * self.settings.noise_scale).to(self.portrait.latents)


def portrait_of(
    fitted: FittedPortrait,
    latents: Tensor,
    config: EmoConfig,
    identity: Tensor | None = None,
    guide: FaceGuide | None = None,
) -> PublishedPortrait:
    """A fitted portrait and its latents in the autoencoder's own scale, as the networks see them.

    Raises:
        InputError: the picture is not square and the model wants one, or the embedding does not suit it.
    """
    height_px, width_px = fitted.pixels.shape[-2:]
    if height_px != width_px and config.audio.place == "module":
        raise InputError(
            got=f"a picture of {width_px}x{height_px} pixels for {config.name}",
            allowed="a square one: this model hears the voice through masks of a square picture",
            do="set both sides of the model's picture to the same size",
        )
    check_face_embedding(identity, config)
    drawings = None if guide is None else fitted_drawings(guide, fitted)
    size_px = (width_px, height_px)
    return PublishedPortrait(latents * config.latent_scale, fitted.region, size_px, identity, drawings)


def check_settings(settings: SamplingSettings, config: EmoConfig) -> None:
    """Raises InputError: the settings ask for what a model of published weights does not have."""
    if settings.portrait_guidance != 1:
        raise InputError(
            got=f"portrait guidance {settings.portrait_guidance:g} for {config.name}",
            allowed="1: its one guidance covers portrait and voice together",
            do="leave the portrait guidance as it is, and set the voice guidance",
        )
    if settings.pose_noise_scale is not None:
        raise InputError(
            got=f"pose noise scale {settings.pose_noise_scale:g} for {config.name}",
            allowed="none: all of its noise has one scale",
            do="leave the pose noise as it is, and set the noise scale",
        )
    if settings.guided_share != 1:
        raise InputError(
            got=f"guided share {settings.guided_share:g} for {config.name}",
            allowed="1: all of its steps are guided, or none",
            do="leave the guided share as it is",
        )


def generated_frame_count(config: EmoConfig, timeline: Timeline) -> int:
    """Frames that are generated for a video: whole clips, or what whole windows cover."""
    if config.loop.kind == "windows":
        return whole_windows(timeline.frame_count, config.temporal.frames_per_clip, config.loop)
    return timeline.padded_frame_count


def part_count(config: EmoConfig, timeline: Timeline) -> int:
    """Parts that are denoised one after the other: clips, or one whole of overlapping windows."""
    return 1 if config.loop.kind == "windows" else timeline.clip_count


def first_state(config: EmoConfig, latent_shape: Sequence[int], seed: int) -> SamplerState | WindowedState:
    """Where the loop of a model of published weights stands at its start; latent_shape is (C, h, w)."""
    if config.loop.kind == "windows":
        return WindowedState()
    return SamplerState(WhiteNoise(config.loop, latent_shape, seed))


def sample_published(
    run: PublishedRun, state: SamplerState | WindowedState | None = None, keep: Keep = keep_nothing
) -> Iterator[Tensor]:
    """Latents of clip after clip [1, F, C, h, w], scaled, as many frames in all as the voice lasts.

    Args:
        run: what is sampled.
        state: where to go on, from `first_state`; before each clip is handed out, it says where to go on
            after it.
        keep: given the state of overlapping windows after every step.
    """
    config = run.networks.config
    check_settings(run.settings, config)
    state = state or first_state(config, run.portrait.latents.shape[1:], run.settings.seed)
    if isinstance(state, WindowedState):
        return _windowed(run, state, keep)
    return _clip_by_clip(run, state)


@torch.inference_mode()
def _windowed(run: PublishedRun, state: WindowedState, keep: Keep) -> Iterator[Tensor]:
    """All frames at once, in overlapping windows; given out clip by clip."""
    if state.latents is None or state.steps_done < run.settings.steps:
        _denoise_all(run, state, keep)
    latents = state.latents.to(run.portrait.latents)  # type: ignore[union-attr]
    for index in range(state.clips_done, run.timeline.clip_count):
        span = run.timeline.clip(index)
        state.clips_done += 1
        yield latents[:, span.first_frame : span.first_frame + span.kept_frames]


def _denoise_all(run: PublishedRun, state: WindowedState, keep: Keep) -> None:
    networks, settings, portrait = run.networks, run.settings, run.portrait
    features = picture_features(networks, portrait.latents, portrait.identity, run.guided)
    conditions = WindowedConditions(
        networks,
        prepare_halves(networks, features, None, None),
        networks.audio_projection(run.rows),
        _located_by(run),
    )
    source = WhiteNoise(networks.config.loop, portrait.latents.shape[1:], settings.seed)
    noise = run.noise(source, run.rows.shape[1])

    def on_step(step: int, clean: Tensor) -> None:
        run.on_progress(Progress(1, 1, step, settings.steps, clean))

    denoise_windows(
        conditions, noise, run.scheduler(), settings.voice_guidance, on_step, state=state, keep=keep
    )


def _located_by(run: PublishedRun) -> Tensor:
    """What the locator reads: one for all frames [1, c, H, W], or one each [1, N, 3, H, W] with 8 bits."""
    portrait, reads = run.portrait, run.networks.config.locator.reads
    if portrait.drawings is None:
        if reads == "key points":
            log.info("no key points are given: eyes and nose are placed by the proportions of the face's box")
            return draw_key_points(key_points_of(portrait.region), *portrait.size_px).to(run.rows)
        return rectangle(widened(portrait.region, _MASK_MARGIN), *portrait.size_px).to(run.rows)
    if len(portrait.drawings) == 1:
        return portrait.drawings.to(run.rows) / 255
    last, count = len(portrait.drawings) - 1, run.rows.shape[1]
    return portrait.drawings[torch.arange(count).clamp(max=last)][None]


@torch.inference_mode()
def _clip_by_clip(run: PublishedRun, state: SamplerState) -> Iterator[Tensor]:
    """Clip after clip; each sees the last frames of the one before as pictures, the first the portrait."""
    config, timeline, portrait = run.networks.config, run.timeline, run.portrait
    motion = config.temporal.motion_frames
    regions = _regions_of(run)
    mask = rectangle(widened(portrait.region, _MASK_MARGIN), *portrait.size_px)
    mask = mask.expand(-1, config.locator.channels_in, -1, -1).to(run.rows)
    first = portrait.latents.expand(motion, -1, -1, -1)
    for index in range(state.clips_done, timeline.clip_count):
        seen = first if state.last is None else state.last[0].to(first)
        noise = run.noise(state.noise, timeline.frames_per_clip)
        latents = _denoise_clip(run, index, noise, seen, mask, regions)
        if index + 1 < timeline.clip_count:
            state.last = _as_pictures(run, latents[0, -motion:])[None].contiguous()
        state.clips_done += 1
        yield latents[:, : timeline.clip(index).kept_frames]


def _denoise_clip(
    run: PublishedRun, index: int, noise: Tensor, seen: Tensor, mask: Tensor, regions: VoiceRegions
) -> Tensor:
    """The latents of one clip [1, F, C, h, w]; all that its conditions took is free again.

    seen: latents of the motion frames [n, C, h, w].
    """
    networks, settings, timeline = run.networks, run.settings, run.timeline
    pictures = torch.cat([run.portrait.latents, seen])
    features = picture_features(networks, pictures, run.portrait.identity, run.guided)
    span = timeline.clip(index)
    rows = run.rows[:, span.first_frame : span.first_frame + span.frame_count]
    halves = prepare_halves(networks, features, networks.audio_projection(rows), mask, regions)

    def on_step(step: int, clean: Tensor) -> None:
        run.on_progress(Progress(index + 1, timeline.clip_count, step, settings.steps, clean))

    return denoise_halves(
        networks.backbone, noise, halves, run.scheduler(), settings.voice_guidance, on_step
    )


def _regions_of(run: PublishedRun) -> VoiceRegions:
    portrait, levels = run.portrait, len(run.networks.config.spatial.channels)
    regions = voice_regions(portrait.region, lip_region(portrait.region), portrait.size_px[0], levels)
    return VoiceRegions(tuple(mask.to(run.rows) for mask in regions.masks), regions.weights)


def _as_pictures(run: PublishedRun, latents: Tensor) -> Tensor:
    """Latents of frames by way of their pixels, as the published loops bring them into the next clip."""
    scale = run.networks.config.latent_scale
    pixels = run.coder.decode(latents.float() / scale).clamp(0, 1)
    return (run.coder.encode(pixels) * scale).to(latents)
