"""The graph's frames, or latents, and its sound to a file."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Protocol

import av
import torch
from torch import Tensor

from ..errors import InputError
from .graph_model import ModelVae
from .graph_origin import graph_origin
from .graph_runs import RUN_KEY, SamplingRun, run_folder
from .graph_sound import fit_voice, voice_of_audio
from .graph_tensors import check_latents, frames_of_images
from .marking.marks import Marks, prepare_marks
from .marking.settings import ALL_MARKS, Marking
from .pack_version import pack_version
from .resume import RunFolder
from .run_record import digest
from .timeline import FrameRate, Timeline
from .video_file import VideoWriter, check_output
from .video_segments import KEY_FRAME_DISTANCE, SegmentWriter, write_joined
from .video_streams import PictureFormat
from .voice import VoiceSource

# So many frames are decoded and turned into bytes together.
FRAMES_AT_ONCE = 16

FRAMES_PER_SEGMENT = KEY_FRAME_DISTANCE // FRAMES_AT_ONCE * FRAMES_AT_ONCE
"""Frames that are encoded together; a run that is stopped decodes at most so many again."""


class Vae(Protocol):
    """What is asked of the host's VAE."""

    def decode(self, samples: Tensor) -> Tensor:
        """Latents [F, C, h, w] -> IMAGE [F, H, W, 3]."""
        ...


@dataclass(frozen=True, eq=False)
class FrameSource:
    """The frames of a video, made a few at a time.

    Attributes:
        count: frames in all.
        parts: makes the frames from one to another, [N, 3, H, W] at a time, in order.
        latents: what they are decoded from; None where they are there already.
        run: the sampler's run that gave the latents; None where that is not known.
    """

    count: int
    parts: Callable[[int, int], Iterator[Tensor]]
    latents: Tensor | None = None
    run: SamplingRun | None = None


def frame_source(images: Tensor | None, latent: Mapping[str, Any] | None, vae: Vae | None) -> FrameSource:
    """Frames of the host's IMAGE, or of its LATENT, whose pixels are then never all in memory.

    Raises:
        InputError: both or neither of them, a LATENT without a VAE, or a tensor of another shape.
    """
    if (images is None) == (latent is None):
        raise InputError(
            got="neither images nor a latent" if images is None else "images and a latent",
            allowed="one of the two",
            do="connect the images, or the latent together with its VAE",
        )
    if images is not None:
        frames = frames_of_images(images)
        return FrameSource(len(frames), lambda start, end: iter(frames[start:end].split(FRAMES_AT_ONCE)))
    samples = latent["samples"]  # type: ignore[index]
    if vae is None or samples.ndim != 4 or 0 in samples.shape:
        raise InputError(
            got=f"a LATENT of shape {list(samples.shape)} {'without' if vae is None else 'with'} a VAE",
            allowed="[frames, channels, height, width], and the VAE that decodes it",
            do="connect the EMO sampler, and the VAE of Load EMO Model",
        )
    if isinstance(vae, ModelVae):
        check_latents(vae.model, latent)  # type: ignore[arg-type]

    def decoded(start: int, end: int) -> Iterator[Tensor]:
        return (frames_of_images(vae.decode(part)) for part in samples[start:end].split(FRAMES_AT_ONCE))

    return FrameSource(len(samples), decoded, samples, latent.get(RUN_KEY))  # type: ignore[union-attr]


@dataclass(frozen=True, eq=False)
class VideoPlan:
    """Everything about a video's file but its frames.

    Attributes:
        path: the file, whose ending says its format.
        timeline: that of the voice.
        voice: the sound, as long as the frames.
        picture: how frames are stored.
        marks: put into frames and file.
        graph: the workflow as text, stored in the file.
        on_frames: told how many frames are written; may raise to cancel.
    """

    path: Path
    timeline: Timeline
    voice: VoiceSource
    picture: PictureFormat
    marks: Marks
    graph: dict[str, str]
    on_frames: Callable[[int], None]


def write_frames(
    path: Path,
    source: FrameSource,
    audio: Mapping[str, Any],
    fps: FrameRate,
    graph: dict[str, str],
    on_frames: Callable[[int], None],
    runs: Path,
    marking: Marking = ALL_MARKS,
) -> None:
    """Write frames and the host's AUDIO as a video file.

    Of latents, what is encoded is kept in a work folder until the file is there, and the same call goes on
    after it. The sampler's own work folder is removed then.

    Args:
        path: the file, whose ending says its format.
        source: the frames.
        audio: the sound.
        fps: frames per second.
        graph: the workflow as text, stored in the file.
        on_frames: told how many frames are written; may raise to cancel.
        runs: folder of the work folders.
        marking: how the file is marked as synthetic.

    Raises:
        InputError: pictures or sound that cannot be used, odd sides, or a file that cannot be written.
    """
    voice = fit_voice(voice_of_audio(audio), source.count, fps)
    timeline = Timeline(voice.sample_count, voice.sample_rate_hz, fps, source.count)
    first = next(source.parts(0, 1))
    height_px, width_px = first.shape[-2:]
    settings = {"fps": str(timeline.fps), "frames": source.count}
    origin = graph_origin(source.run, settings, graph, voice.digest)
    marks = prepare_marks(marking, origin, width_px, height_px)
    plan = VideoPlan(path, timeline, voice, PictureFormat(width_px, height_px), marks, graph, on_frames)
    if source.latents is None:
        _write_in_one_piece(source, plan)
        return
    run_settings = _settings(digest(source.latents), digest(first), plan)
    _write_in_segments(source, plan, run_folder(runs, run_settings), run_settings)
    if source.run is not None:
        source.run.remove()


def _settings(latents_sha256: str, first_sha256: str, plan: VideoPlan) -> dict[str, str]:
    """Everything that decides the file's frames, by name."""
    return {
        "latents": latents_sha256,
        "decoder": first_sha256,
        "voice": plan.voice.digest,
        "frame rate": str(plan.timeline.fps),
        "picture format": str(plan.picture),
        "marks": f"{plan.marks.in_frames}, {plan.marks.provenance.payload}",
        "version of this pack, torch or FFmpeg": (
            f"{pack_version()}, {torch.__version__}, {av.library_versions['libavcodec']}"
        ),
    }


def _write_in_one_piece(source: FrameSource, plan: VideoPlan) -> None:
    """Write frames that are there already; on any exception no file is left."""
    picture, written = plan.picture, 0
    with VideoWriter(
        plan.path, plan.timeline, plan.voice, picture.width_px, picture.height_px,
        metadata=plan.graph, marks=plan.marks,
    ) as writer:  # fmt: skip
        for part in source.parts(0, source.count):
            writer.write(part)
            written += len(part)
            plan.on_frames(written)


def _write_in_segments(
    source: FrameSource, plan: VideoPlan, folder: Path, settings: Mapping[str, str]
) -> None:
    """Decode and write segment after segment into a work folder, then join them to the file."""
    check_output(plan.path)
    count = ceil(source.count / FRAMES_PER_SEGMENT)
    with RunFolder(folder, settings, count, clips_per_segment=1, keeps_clips=False) as run:
        while run.segments_done < count:
            written = run.segments_done * FRAMES_PER_SEGMENT
            end = min(written + FRAMES_PER_SEGMENT, source.count)
            with (
                run.new_segment() as part,
                SegmentWriter(part, plan.timeline.fps, plan.picture, written, plan.marks) as segment,
            ):
                for frames in source.parts(written, end):
                    segment.write(frames)
                    written += len(frames)
                    plan.on_frames(written)
        write_joined(plan.path, run.segments, plan.timeline, plan.voice, plan.marks, plan.graph)
        run.remove()
