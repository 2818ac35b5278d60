"""The graph's frames, or latents, and its sound to a file; the animated part back into the whole picture."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError
from .graph_tensors import frames_of_images, voice_of_audio
from .marking.marks import Origin, prepare_marks
from .marking.settings import ALL_MARKS, Marking
from .portrait import CropBox
from .timeline import FrameRate, Timeline, parse_fps
from .video_file import VideoWriter
from .voice import Voice

log = logging.getLogger(__name__)

# So many frames are decoded and turned into bytes together.
FRAMES_AT_ONCE = 16


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
        parts: makes frames [N, 3, H, W], in order.
    """

    count: int
    parts: Callable[[], Iterator[Tensor]]


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
        return FrameSource(len(frames), lambda: iter(frames.split(FRAMES_AT_ONCE)))
    samples = latent["samples"]  # type: ignore[index]
    if vae is None or samples.ndim != 4 or 0 in samples.shape:
        raise InputError(
            got=f"a LATENT of shape {list(samples.shape)} {'without' if vae is None else 'with'} a VAE",
            allowed="[frames, channels, height, width], and the VAE that decodes it",
            do="connect the EMO sampler, and the VAE of Load EMO Model",
        )
    return FrameSource(
        len(samples), lambda: (frames_of_images(vae.decode(part)) for part in samples.split(FRAMES_AT_ONCE))
    )


def fit_voice(voice: Voice, frame_count: int, fps: FrameRate) -> Voice:
    """A voice as long as so many frames: cut, or followed by silence, which the log says."""
    exact = parse_fps(fps)
    if Timeline(len(voice.samples), voice.sample_rate_hz, exact, frame_count).frame_count == frame_count:
        return voice
    wanted = int(frame_count * voice.sample_rate_hz / exact)
    log.warning(
        "%d frames at %s fps last %.2f s, the audio %.2f s: the audio is %s",
        frame_count,
        exact,
        frame_count / exact,
        voice.duration_s,
        "cut" if wanted < len(voice.samples) else "followed by silence",
    )
    padded = F.pad(voice.samples, (0, max(0, wanted - len(voice.samples))))
    return replace(voice, samples=padded[:wanted])


def write_frames(
    path: Path,
    source: FrameSource,
    audio: Mapping[str, Any],
    fps: FrameRate,
    graph: dict[str, str],
    on_frames: Callable[[int], None],
    marking: Marking = ALL_MARKS,
) -> None:
    """Write frames and the host's AUDIO as a video file.

    Args:
        path: the file, whose ending says its format.
        source: the frames.
        audio: the sound.
        fps: frames per second.
        graph: the workflow as text, stored in the file.
        on_frames: told how many frames are written; may raise to cancel.
        marking: how the file is marked as synthetic.

    Raises:
        InputError: pictures or sound that cannot be used, odd sides, or a file that cannot be written.
    """
    voice = fit_voice(voice_of_audio(audio), source.count, fps)
    timeline = Timeline(len(voice.samples), voice.sample_rate_hz, fps, source.count)
    parts = source.parts()
    first = next(parts)
    height_px, width_px = first.shape[-2:]
    settings = json.dumps({"fps": str(timeline.fps), "frames": source.count, **graph})
    marks = prepare_marks(marking, Origin(voice_sha256=voice.digest, settings=settings), width_px, height_px)
    written = 0
    with VideoWriter(path, timeline, voice, width_px, height_px, metadata=graph, marks=marks) as writer:
        part: Tensor | None = first
        while part is not None:
            writer.write(part)
            written += len(part)
            on_frames(written)
            part = next(parts, None)


def paste_back(images: Tensor, picture: Tensor, crop: CropBox, feather: float) -> Tensor:
    """The animated part of a picture laid over the whole of it, its edge blended.

    Args:
        images: the animated part, IMAGE [F, h, w, 3] of any size.
        picture: the whole picture, IMAGE [1, H, W, 3].
        crop: where the part was cut out.
        feather: width of the blend inside the part's edge, as a share of its shorter side, 0 to 0.5. Sides on
            the picture's border are not blended.

    Returns:
        IMAGE [F, H, W, 3].

    Raises:
        InputError: several pictures, or a part that was not cut out of this picture.
    """
    height_px, width_px = picture.shape[1:3]
    if len(picture) != 1 or crop.x + crop.width > width_px or crop.y + crop.height > height_px:
        raise InputError(
            got=f"{len(picture)} pictures of {width_px}x{height_px} pixels for a part at "
            f"({crop.x}, {crop.y}) of {crop.width}x{crop.height}",
            allowed="the one picture that the part was cut out of",
            do="connect the picture that goes into the EMO reference net",
        )
    weight = _feather(crop, width_px, height_px, feather)[None, :, :, None]
    whole = picture.expand(len(images), -1, -1, -1).clone()
    rows, columns = slice(crop.y, crop.y + crop.height), slice(crop.x, crop.x + crop.width)
    for low in range(0, len(images), FRAMES_AT_ONCE):
        some = slice(low, low + FRAMES_AT_ONCE)
        resized = F.interpolate(
            frames_of_images(images[some]), (crop.height, crop.width), mode="bicubic", antialias=True
        )
        part = resized.clamp(0, 1).permute(0, 2, 3, 1)
        whole[some, rows, columns] = torch.lerp(whole[some, rows, columns], part, weight)
    return whole


def _feather(crop: CropBox, width_px: int, height_px: int, share: float) -> Tensor:
    """Weights [h, w] of the part: 1 inside, falling to 0 towards its edges within the picture."""
    blend_px = max(share * min(crop.width, crop.height), 1e-6)

    def ramp(length: int, starts_inside: bool, ends_inside: bool) -> Tensor:
        place = torch.arange(length) + 0.5
        rise = (place / blend_px).clamp(max=1) if starts_inside else torch.ones(length)
        fall = ((length - place) / blend_px).clamp(max=1) if ends_inside else torch.ones(length)
        return torch.minimum(rise, fall)

    across = ramp(crop.width, crop.x > 0, crop.x + crop.width < width_px)
    down = ramp(crop.height, crop.y > 0, crop.y + crop.height < height_px)
    edge = torch.minimum(across[None], down[:, None])
    return edge * edge * (3 - 2 * edge)
