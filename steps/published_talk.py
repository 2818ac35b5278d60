"""Frames of a model of published weights: the way of the data from portrait and voice to pictures."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import WeightsError
from ..models.build import EmoNetworks
from ..models.checkpoints.emo import LoadedModel
from .face_region import FaceRegion
from .guidance import denoise_halves, picture_features, prepare_halves
from .noise import clip_noise
from .portrait import FittedPortrait
from .region_masks import key_point_drawing, lip_region, rectangle, voice_regions, widened
from .resampling import resampled
from .sampling import OnProgress, Progress, SamplingSettings
from .schedulers import make_scheduler
from .timeline import Timeline
from .voice import VoiceSource
from .voice_rows import SAMPLE_RATE_HZ, voice_rows
from .windows import WindowedConditions, denoise_windows, whole_windows

# How much larger than the face its mask is, a side: the published preparations of the two kinds of mask.
_WINDOWED_MARGIN, _REGION_MARGIN = 1.2, 1.2


@dataclass(frozen=True, eq=False)
class PublishedRun:
    """What all frames of a run share.

    Attributes:
        networks: on the device, complete.
        portrait: latents [1, C, h, w].
        identity: a face embedding [1, E]; None: no known face.
        region: the face in the fitted portrait.
        side_px: side of the picture.
        rows: what frames hear [1, N, rows, D].
        timeline: of the voice.
        settings: steps, scheduler, guidance, seed.
        on_progress: told of every step.
    """

    networks: EmoNetworks
    portrait: Tensor
    identity: Tensor | None
    region: FaceRegion
    side_px: int
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
        made.set_timesteps(self.settings.steps, device=self.portrait.device)  # type: ignore[attr-defined]
        return made

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [1, F, C, h, w] -> frames [F, 3, H, W] in 0..1."""
        return self.networks.autoencoder.decode(latents[0]).clamp(0, 1)  # type: ignore[union-attr]


def require_complete(model: LoadedModel) -> None:
    """Raises WeightsError: the autoencoder or the voice encoder of a model has not been loaded."""
    networks = model.networks
    names = []
    if networks.autoencoder is None:
        names.append(
            "the picture autoencoder sd-vae-ft-mse (MIT), https://huggingface.co/stabilityai/sd-vae-ft-mse"
        )
    if networks.voice_encoder is None and model.config.audio.features == "spectrogram":
        names.append("whisper-tiny (MIT), https://huggingface.co/openai/whisper-tiny")
    elif networks.voice_encoder is None:
        names.append("wav2vec2-base-960h (Apache-2.0), https://huggingface.co/facebook/wav2vec2-base-960h")
    if names:
        raise WeightsError(
            got=f"{model.config.name} in {model.path} without " + " and ".join(names),
            allowed="these files beside the model's own",
            do=f"put them into {model.path} or a folder in it",
        )


def animate_published(
    model: LoadedModel,
    fitted: FittedPortrait,
    voice: VoiceSource,
    timeline: Timeline,
    settings: SamplingSettings,
    device: torch.device,
    on_progress: OnProgress,
    identity: Tensor | None = None,
) -> Iterator[Tensor]:
    """Frames [F, 3, H, W] in 0..1, as many in all as the voice lasts; the networks are on `device`.

    Raises:
        WeightsError: the autoencoder or the voice encoder is missing.
        InputError: the model moves by other means than a voice.
    """
    require_complete(model)
    networks, config = model.networks, model.config
    loop, window = config.loop, config.temporal.frames_per_clip
    dtype = networks.backbone.dtype
    count = timeline.padded_frame_count
    if loop.kind == "windows":
        count = whole_windows(timeline.frame_count, window, loop)
    samples = torch.cat(list(resampled(voice.blocks(), voice.sample_rate_hz, SAMPLE_RATE_HZ))).to(device)
    rows = voice_rows(networks.voice_encoder, samples, count, timeline.fps, config.audio)  # type: ignore[arg-type]
    portrait = networks.autoencoder.encode(fitted.pixels.to(device)).to(dtype)  # type: ignore[union-attr]
    run = PublishedRun(
        networks,
        portrait,
        identity,
        fitted.region,
        fitted.pixels.shape[-1],
        rows.to(dtype),
        timeline,
        settings,
        on_progress,
    )
    yield from _windowed(run) if loop.kind == "windows" else _clip_by_clip(run, fitted.pixels.to(device))


@torch.inference_mode()
def _windowed(run: PublishedRun) -> Iterator[Tensor]:
    """All frames at once, in overlapping windows; decoded clip by clip."""
    networks, settings = run.networks, run.settings
    config = networks.config
    features = picture_features(networks, run.portrait, None, run.guided)
    if config.locator.channels_in == 1:
        mask = rectangle(widened(run.region, _WINDOWED_MARGIN), run.side_px)
    else:
        mask = key_point_drawing(run.region, run.side_px)
    conditions = WindowedConditions(
        networks,
        prepare_halves(networks, features, None, None),
        networks.audio_projection(run.rows),
        mask.to(run.portrait),
    )
    generator = torch.Generator().manual_seed(settings.seed)
    shape = (run.portrait.shape[1], run.portrait.shape[2], run.portrait.shape[3])
    noise = clip_noise(generator, run.rows.shape[1], shape, config.loop).to(run.portrait)

    def on_step(step: int, clean: Tensor) -> None:
        run.on_progress(Progress(1, 1, step, settings.steps, clean))

    latents = denoise_windows(conditions, noise, run.scheduler(), settings.voice_guidance, on_step)
    for span in run.timeline.clips():
        yield run.decode(latents[:, span.first_frame : span.first_frame + span.kept_frames])


@torch.inference_mode()
def _clip_by_clip(run: PublishedRun, portrait_pixels: Tensor) -> Iterator[Tensor]:
    """Clip after clip; each sees the last decoded frames of the one before, the first the portrait."""
    networks, settings, timeline = run.networks, run.settings, run.timeline
    config = networks.config
    count, motion = config.temporal.frames_per_clip, config.temporal.motion_frames
    levels = len(config.spatial.channels)
    regions = voice_regions(run.region, lip_region(run.region), run.side_px, levels)
    regions = type(regions)(tuple(mask.to(run.portrait) for mask in regions.masks), regions.weights)
    mask = rectangle(widened(run.region, _REGION_MARGIN), run.side_px)
    mask = mask.expand(-1, config.locator.channels_in, -1, -1).to(run.portrait)
    generator = torch.Generator().manual_seed(settings.seed)
    shape = (run.portrait.shape[1], run.portrait.shape[2], run.portrait.shape[3])
    last = portrait_pixels.expand(motion, -1, -1, -1)
    for index, span in enumerate(timeline.clips(), start=1):
        seen = networks.autoencoder.encode(last).to(run.portrait)  # type: ignore[union-attr]
        pictures = torch.cat([run.portrait, seen])
        features = picture_features(networks, pictures, run.identity, run.guided)
        tokens = networks.audio_projection(run.rows[:, span.first_frame : span.first_frame + count])
        halves = prepare_halves(networks, features, tokens, mask, regions)
        noise = clip_noise(generator, count, shape, config.loop).to(run.portrait)

        def on_step(step: int, clean: Tensor, index: int = index) -> None:
            run.on_progress(Progress(index, timeline.clip_count, step, settings.steps, clean))

        latents = denoise_halves(
            networks.backbone, noise, halves, run.scheduler(), settings.voice_guidance, on_step
        )
        frames = run.decode(latents)
        last = frames[-motion:]
        yield frames[: span.kept_frames]
