"""The parts of `comfyui-emo evaluate`: what each makes videos of, and its bar."""

import argparse
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..models.checkpoints.emo import LoadedModel
from ..steps.face_region import FaceRegion
from ..steps.head_motion import HeadMotion
from ..steps.portrait import CropBox, FittedPortrait, Portrait
from ..steps.sampling import OnProgress
from ..steps.talk import TalkRequest, animate
from ..steps.timeline import Timeline
from ..steps.voice import Voice, read_voice
from ..training.avatars.motion import FPS
from ..training.detector import AvatarDetector
from ..training.drift import DRIFT_MINUTES, measure_drift
from ..training.evaluate import EvaluationSettings, evaluate_model
from ..training.evaluation_set import EvaluationSet
from ..training.generation import Generate, Part, Region, left_out
from ..training.listening import measure_recording
from ..training.mechanisms import Mechanisms, MechanismSettings
from .options import EVALUATION_PARTS
from .progress import progress_bar
from .settings import sampling_settings

log = logging.getLogger(__name__)

FIGURES, MECHANISMS, DRIFT = EVALUATION_PARTS
_MECHANISM_CLIPS = 6
_DRIFT_AVATARS = 2
_RECORDING_AVATARS = 2
_RECORDING_S = 20.0


def read_recording(path: Path) -> Voice:
    """The start of a recorded voice.

    Raises:
        InputError: it cannot be read.
    """
    return read_voice(path, duration_s=_RECORDING_S)


class Evaluation:
    """One model, and what is to be measured of it."""

    def __init__(
        self,
        model: LoadedModel,
        arguments: argparse.Namespace,
        device: torch.device,
        evaluation_set: EvaluationSet,
        detector: AvatarDetector,
    ):
        self.model, self.arguments, self.device = model, arguments, device
        self.clips, self.detector = evaluation_set, detector
        self.size_px = model.config.defaults.height_px
        self.frames_per_clip = model.config.temporal.frames_per_clip
        self.clip_s = len(evaluation_set.voice(0)) / evaluation_set.sample_rate_hz

    def figures(self, sheet: Path | None) -> dict[str, Any]:
        """Every clip with every seed, see `evaluate_model`."""
        settings = EvaluationSettings(self.frames_per_clip, tuple(self.arguments.seeds), self.size_px)
        turns = len(settings.seeds) + (settings.other_voice and len(self.clips) > 1)
        log.info("the true videos of %d clips are measured first, then the model's", len(self.clips))
        with self._generate(turns * len(self.clips), self.clip_s) as generate:
            timed, reconstruct = Timed(generate), _reconstruct(self.model, self.device)
            result = evaluate_model(timed, reconstruct, self.clips, self.detector, settings, sheet)
        return {**result, "cost": self._cost(timed)}

    def _cost(self, timed: "Timed") -> dict[str, float]:
        """What the model weighs, and how long its videos took on this machine, beside what else it did."""
        files = self.model.files or (self.model.path,)
        return {
            "weights_mb": sum(file.stat().st_size for file in files) / 1e6,
            "computing_s_per_video_s": timed.computing_s / timed.video_s,
            "threads": torch.get_num_threads(),
        }

    def mechanisms(self) -> dict[str, Any]:
        """The first clips with one condition changed or left out at a time, see `Mechanisms`."""
        clips = self.clips.first(min(_MECHANISM_CLIPS, len(self.clips)))
        settings = MechanismSettings(seed=self.arguments.seeds[0])
        videos = Mechanisms.videos(settings) * len(clips)
        log.info("%d videos with one condition changed or left out", videos)
        with self._generate(videos, self.clip_s) as generate:
            asked = (clips, self.detector, self.frames_per_clip, self.size_px, settings)
            return {**Mechanisms(generate, *asked).measure(), "mechanism_clips": len(clips)}

    def drift(self) -> dict[str, float]:
        """A minute of some avatars, see `measure_drift`."""
        avatars = range(0, len(self.clips), max(1, len(self.clips) // _DRIFT_AVATARS))[:_DRIFT_AVATARS]
        log.info("a minute of %d avatars: the last seconds against the first", len(avatars))
        seed = self.arguments.seeds[0]
        with self._generate(len(avatars), 60 * DRIFT_MINUTES) as generate:
            return measure_drift(generate, self.clips, self.detector, avatars, self.size_px, seed)

    def recording(self, voice: Voice) -> dict[str, float]:
        """A recorded voice, see `measure_recording`."""
        avatars = min(_RECORDING_AVATARS, len(self.clips))
        log.info("%d avatars say the recording", avatars)
        seconds = len(voice.samples) / voice.sample_rate_hz
        heard = voice.samples, voice.sample_rate_hz
        with self._generate(avatars, seconds) as generate:
            chosen = avatars, self.size_px, self.arguments.seeds[0]
            return measure_recording(generate, self.clips, self.detector, *heard, *chosen)

    @contextmanager
    def _generate(self, videos: int, seconds: float) -> Iterator[Generate]:
        """What makes the videos, with a bar over all of them, each so many seconds long."""
        rate = self.clips.sample_rate_hz
        timeline = Timeline(round(seconds * rate), rate, FPS, self.frames_per_clip)
        steps = sampling_settings(self.arguments, self.model.config.defaults, 0).steps
        with progress_bar(timeline.clip_count, steps, videos) as on_progress:
            yield make_generate(self.model, self.arguments, self.device, on_progress)


class Timed:
    """Makes videos and adds up how long that took and how long they are."""

    def __init__(self, generate: Generate):
        self._generate = generate
        self.computing_s = self.video_s = 0.0

    def __call__(self, **asked: Any) -> Tensor:
        started_s = time.perf_counter()
        frames = self._generate(**asked)
        self.computing_s += time.perf_counter() - started_s
        self.video_s += len(frames) / FPS
        return frames


def make_generate(
    model: LoadedModel, arguments: argparse.Namespace, device: torch.device, on_progress: OnProgress
) -> Generate:
    """What the evaluation makes videos with: the steps of `comfyui-emo talk`.

    Portraits of the evaluation set are drawn as training drew them, so nothing is cropped; their regions are
    where the face moves, so no margin is added.
    """

    def generate(
        *,
        portrait_pixels: Tensor,
        samples: Tensor,
        sample_rate_hz: int,
        region: Region,
        speed: float,
        seed: int,
        without: Part | None = None,
    ) -> Tensor:
        height, width = portrait_pixels.shape[-2:]
        x0, y0, x1, y1 = region
        box = FaceRegion(x0, y0, x1 - x0, y1 - y0).scaled(width, height)
        portrait = Portrait(portrait_pixels, "held-out avatar")
        settings = sampling_settings(arguments, model.config.defaults, seed)
        request = TalkRequest(
            portrait,
            box,
            Voice(samples, sample_rate_hz, "held-out voice"),
            HeadMotion(speed, margin=0.0),
            replace(settings, seam_fade_frames=0.0) if without == "earlier_frames" else settings,
            FPS,
        )
        fitted = FittedPortrait(portrait.pixels, CropBox(0, 0, width, height), box)
        with left_out(model.networks, without):
            clips = animate(model, fitted, request, device, on_progress)
            return torch.cat([frames.cpu() for frames in clips])

    return generate


def _reconstruct(model: LoadedModel, device: torch.device):
    """Pixels [N, 3, S, S] through the model's autoencoder and back."""
    autoencoder = model.networks.to(device).autoencoder
    return lambda pixels: autoencoder.reconstruct(pixels.to(device)).cpu()  # type: ignore[union-attr]
