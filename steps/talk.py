"""The whole way: a portrait and a voice -> a video, clip by clip, in memory that does not grow."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import av
import torch
from torch import Tensor

from ..models.checkpoints.emo import LoadedModel
from ..models.config import LATENT_DOWNSCALE, EmoConfig
from . import published_sampling
from .decoding import decode_clip
from .face_embedding import check_face_embedding
from .face_guide import FaceGuide, check_face_guide
from .face_region import FaceRegion, face_mask, movement_box
from .head_motion import HeadMotion
from .marking.marks import Marks, Origin, prepare_marks
from .marking.settings import ALL_MARKS, Marking
from .pack_version import pack_version
from .portrait import FittedPortrait, Portrait, fit_portrait
from .published_talk import sample_talk
from .reference import run_reference_net
from .resume import RunFolder
from .run_record import digest
from .sampler_state import SamplerState, WindowedState
from .sampling import OnProgress, no_progress, sample_clips
from .sampling_settings import SamplingSettings
from .timeline import FrameRate, Timeline
from .video_file import check_output
from .video_segments import SegmentWriter, clips_per_segment, write_joined
from .video_streams import PictureFormat
from .voice import VoiceSource
from .voice_encoding import VoiceStream
from .windows import Keep, keep_nothing

WorkFolders = Callable[[Mapping[str, str]], Path]
"""Gives the work folder of a run of such settings."""


@dataclass(frozen=True)
class TalkRequest:
    """What to animate, and how.

    Attributes:
        portrait: the picture.
        region: the face in its pixels.
        voice: what is said.
        motion: how lively.
        sampling: steps, scheduler, guidance, seed.
        fps: frame rate of the video.
        identity: a face embedding [1, E], for a model that takes one; None: no known face.
        guide: how the head moves, for a model that is told; None: it is not given.
    """

    portrait: Portrait
    region: FaceRegion
    voice: VoiceSource
    motion: HeadMotion
    sampling: SamplingSettings
    fps: FrameRate
    identity: Tensor | None = None
    guide: FaceGuide | None = None


def fit_to_model(portrait: Portrait, region: FaceRegion, config: EmoConfig) -> FittedPortrait:
    """The portrait at the model's size, framed around the face as the model expects."""
    defaults = config.defaults
    return fit_portrait(portrait, region, (defaults.width_px, defaults.height_px), defaults.face_share)


def movement_mask(fitted: FittedPortrait, motion: HeadMotion, config: EmoConfig) -> Tensor:
    """The face locator's mask [1, 1, s*h, s*w]: the face of the fitted portrait and its room to move."""
    height_px, width_px = fitted.pixels.shape[-2:]
    margin = motion.movement_margin
    box = movement_box(fitted.region, margin, margin, width_px, height_px)
    pixels_per_cell = LATENT_DOWNSCALE / config.locator.mask_scale
    height, width = round(height_px / pixels_per_cell), round(width_px / pixels_per_cell)
    return face_mask(box.scaled(1 / pixels_per_cell, 1 / pixels_per_cell), height, width)


def animate(
    model: LoadedModel,
    fitted: FittedPortrait,
    request: TalkRequest,
    device: torch.device,
    on_progress: OnProgress = no_progress,
) -> Iterator[Tensor]:
    """Frames [F, 3, H, W] in 0..1, clip by clip, of a portrait at the model's size; one clip is held.

    The networks are on `device`.
    """
    check_what_is_given(model, request)
    for latents in _sample(model, fitted, request, device, on_progress):
        yield decode_clip(model.networks, latents)


def check_what_is_given(model: LoadedModel, request: TalkRequest) -> None:
    """Raises InputError: the request tells the model what it does not take, or not what it needs."""
    check_face_embedding(request.identity, model.config)
    height_px, width_px = request.portrait.pixels.shape[-2:]
    frame_count = talk_timeline(model, request).frame_count
    check_face_guide(request.guide, model.config, (width_px, height_px), frame_count)


def is_published(model: LoadedModel) -> bool:
    """Whether the model hears a voice in the way of a published family, which has a loop of its own."""
    return model.config.audio.features != "resampled"


def _sample(
    model: LoadedModel,
    fitted: FittedPortrait,
    request: TalkRequest,
    device: torch.device,
    on_progress: OnProgress,
    state: SamplerState | WindowedState | None = None,
    keep: Keep = keep_nothing,
) -> Iterator[Tensor]:
    """Latents of clip after clip [1, F, C, h, w] on the device, from a state on; see `sample_published`."""
    networks, config = model.networks, model.config
    timeline, sampling = talk_timeline(model, request), request.sampling
    if is_published(model):
        yield from sample_talk(
            model, fitted, request.voice, timeline, sampling, device, on_progress, request.identity,
            request.guide, state, keep,
        )  # fmt: skip
        return
    reference = run_reference_net(networks, fitted, device)
    voice = VoiceStream(networks.voice_encoder, request.voice, timeline, device)  # type: ignore[arg-type]
    mask = movement_mask(fitted, request.motion, config)
    yield from sample_clips(
        networks,
        reference,
        voice,
        mask,
        request.motion,
        timeline,
        sampling,
        on_progress,
        state=state,  # type: ignore[arg-type]
    )


def talk_timeline(model: LoadedModel, request: TalkRequest) -> Timeline:
    """The video that belongs to the request's voice."""
    voice = request.voice
    frames_per_clip = model.config.temporal.frames_per_clip
    return Timeline(voice.sample_count, voice.sample_rate_hz, request.fps, frames_per_clip)


def run_settings(
    model: LoadedModel, request: TalkRequest, device: torch.device, picture: PictureFormat
) -> dict[str, str]:
    """Everything that decides the frames of a run, by the names that a message gives it."""
    sampling = {name.replace("_", " "): str(value) for name, value in asdict(request.sampling).items()}
    return {
        "model": model.sha256,
        "portrait": digest(request.portrait.pixels),
        "face region": str(request.region),
        "face embedding": digest(request.identity),
        "key points": digest(None if request.guide is None else request.guide.key_points),
        "drawings": digest(None if request.guide is None else request.guide.drawings),
        "voice": request.voice.digest,
        "frame rate": str(talk_timeline(model, request).fps),
        "head motion": str(request.motion),
        **sampling,
        "picture format": str(picture),
        "kind of device or number": f"{device.type}, {next(model.networks.parameters()).dtype}",
        "version of this pack, torch or FFmpeg": (
            f"{pack_version()}, {torch.__version__}, {av.library_versions['libavcodec']}"
        ),
    }


def default_work_folder(output: Path) -> Path:
    """The work folder of a run: beside its output."""
    return output.with_name(f"{output.name}.work")


def part_count(model: LoadedModel, request: TalkRequest) -> int:
    """Parts that are denoised one after the other: clips, or one whole of overlapping windows."""
    return published_sampling.part_count(model.config, talk_timeline(model, request))


def talk(
    model: LoadedModel,
    request: TalkRequest,
    output: Path,
    device: torch.device,
    on_progress: OnProgress = no_progress,
    work_folder: Path | WorkFolders | None = None,
    fresh: bool = False,
    frames_at_once: int | None = None,
    marking: Marking = ALL_MARKS,
) -> Timeline:
    """Animate the portrait and write the mp4.

    A run that is cut at any instant leaves no mp4, and in its work folder what the next call needs to go on:
    the same model, request, device and work folder then give the same file as if nothing had happened. At
    most the clip that was being sampled is lost. With another request the work folder is emptied, which the
    log says. The folder is removed once the mp4 is there. Of a model that denoises the whole video together
    in windows, at most the step that was being done is lost.

    Args:
        model: whose networks are on the device.
        request: what to animate, and how.
        output: the file to make, ending in .mp4, in a folder that exists.
        device: to compute on.
        on_progress: told of every finished step of every clip that is not done yet; may raise to cancel.
        work_folder: a new, an empty or an earlier run's folder, or what gives one for the run's settings;
            None: `default_work_folder`.
        fresh: start from the first clip, whatever the work folder holds.
        frames_at_once: how many frames to decode together (see memory.py); None: a clip's.
        marking: how the video is marked as synthetic.

    Raises:
        InputError: if a part of the request cannot be used, or a file cannot be written.
    """
    check_output(output)
    check_what_is_given(model, request)
    timeline = talk_timeline(model, request)
    defaults = model.config.defaults
    picture = PictureFormat(defaults.width_px, defaults.height_px)
    settings = run_settings(model, request, device, picture)
    marks = prepare_marks(marking, _origin(model, settings), picture.width_px, picture.height_px)
    settings["marks"] = marks.in_frames
    folder = work_folder(settings) if callable(work_folder) else work_folder or default_work_folder(output)
    per_segment = clips_per_segment(timeline.frames_per_clip)
    by_clips = model.config.loop.kind == "clips"
    with RunFolder(folder, settings, timeline.clip_count, per_segment, fresh, keeps_clips=by_clips) as run:
        _write_segments(run, model, request, device, picture, on_progress, frames_at_once, marks)
        write_joined(output, run.segments, timeline, request.voice, marks)
        run.remove()
    return timeline


def _write_segments(
    run: RunFolder,
    model: LoadedModel,
    request: TalkRequest,
    device: torch.device,
    picture: PictureFormat,
    on_progress: OnProgress,
    frames_at_once: int | None,
    marks: Marks,
) -> None:
    """Bring every segment of a run into its folder, clip by clip."""
    config, timeline = model.config, talk_timeline(model, request)
    fitted = fit_to_model(request.portrait, request.region, config)
    latent_shape = (
        config.spatial.latent_channels,
        picture.height_px // LATENT_DOWNSCALE,
        picture.width_px // LATENT_DOWNSCALE,
    )
    start = published_sampling.first_state if is_published(model) else SamplerState.start
    clips = run.clips(
        lambda: start(config, latent_shape, request.sampling.seed),
        lambda state: _sample(model, fitted, request, device, on_progress, state, run.save_steps),
    )
    while run.segments_done * run.clips_per_segment < run.clip_count:
        first_frame = run.segments_done * run.clips_per_segment * timeline.frames_per_clip
        with (
            run.new_segment() as part,
            SegmentWriter(part, timeline.fps, picture, first_frame, marks) as segment,
        ):
            for latents in islice(clips, run.clips_per_segment):
                segment.write(decode_clip(model.networks, latents.to(device), frames_at_once))


def _origin(model: LoadedModel, settings: dict[str, str]) -> Origin:
    """What the marks say that the video is made from."""
    return Origin(
        model.config.name, settings["model"], settings["portrait"], settings["voice"], json.dumps(settings)
    )
