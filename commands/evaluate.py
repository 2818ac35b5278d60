"""`comfyui-emo evaluate`: the held-out figures of a model."""

import argparse
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from ..models.checkpoints.emo import BUNDLED_MODEL, LoadedModel, load_model
from ..models.config import SamplingDefaults
from ..steps.face_region import FaceRegion
from ..steps.head_motion import HeadMotion
from ..steps.portrait import CropBox, FittedPortrait, Portrait
from ..steps.sampling import OnProgress
from ..steps.talk import TalkRequest, animate
from ..steps.timeline import Timeline
from ..steps.voice import Voice
from ..training.avatars.motion import FPS
from ..training.detector import load_detector
from ..training.evaluate import EvaluationSettings, Generate, evaluate_model
from ..training.evaluation_set import EvaluationSet
from .checks import check_output_folder, choose_device, whole_file
from .progress import progress_bar
from .settings import sampling_settings

log = logging.getLogger(__name__)


def run(arguments: argparse.Namespace) -> str:
    """Evaluate, write what was asked for, and give the figures as a table.

    Raises:
        EmoError: an option, a file or the output cannot be used.
    """
    device = _check(arguments)
    evaluation_set, detector = EvaluationSet.load(), load_detector()
    if arguments.clips is not None:
        evaluation_set = evaluation_set.first(arguments.clips)
    model = load_model(arguments.model or BUNDLED_MODEL)
    defaults = model.config.defaults
    settings = EvaluationSettings(
        model.config.temporal.frames_per_clip, tuple(arguments.seeds), defaults.height_px
    )
    log.info("the true videos of %d clips are measured first, then the model's", len(evaluation_set))
    with _optional_file(arguments.out) as out, _optional_file(arguments.sheet) as sheet:
        with _bar(arguments, model, evaluation_set, settings) as on_progress:
            generate = make_generate(model, arguments, device, on_progress)
            reconstruct = _reconstruct(model, device)
            result = evaluate_model(generate, reconstruct, evaluation_set, detector, settings, sheet)
        result["model"] = {"name": model.config.name, "file": str(model.path), "training": model.training}
        if out is not None:
            out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return _table(result)


def _check(arguments: argparse.Namespace) -> torch.device:
    """Find what is wrong with the options before any file is read; gives the device."""
    for seed in arguments.seeds:
        sampling_settings(arguments, SamplingDefaults(), seed)
    if arguments.sheet is not None and arguments.sheet.suffix.lower() != ".png":
        raise InputError(
            got=f"contact sheet {arguments.sheet}",
            allowed="a file name ending in .png",
            do=f"use {arguments.sheet.stem or 'sheet'}.png",
        )
    for path in filter(None, (arguments.out, arguments.sheet)):
        check_output_folder(path)
    return choose_device(arguments.device)


@contextmanager
def _optional_file(path: Path | None) -> Iterator[Path | None]:
    if path is None:
        yield None
        return
    with whole_file(path) as part:
        yield part


@contextmanager
def _bar(
    arguments: argparse.Namespace, model: LoadedModel, clips: EvaluationSet, settings: EvaluationSettings
) -> Iterator[OnProgress]:
    """A progress bar over every video that `evaluate_model` makes."""
    turns = len(settings.seeds) + (settings.other_voice and len(clips) > 1)
    voice = clips.voice(0)
    timeline = Timeline(len(voice), clips.sample_rate_hz, FPS, settings.frames_per_clip)
    steps = sampling_settings(arguments, model.config.defaults, 0).steps
    with progress_bar(timeline.clip_count, steps, turns * len(clips)) as on_progress:
        yield on_progress


def make_generate(
    model: LoadedModel, arguments: argparse.Namespace, device: torch.device, on_progress: OnProgress
) -> Generate:
    """What `evaluate_model` makes videos with: the steps of `comfyui-emo talk`.

    Portraits of the evaluation set are drawn as training drew them, so nothing is cropped; their regions are
    where the face moves, so no margin is added.
    """

    def generate(
        *,
        portrait_pixels: Tensor,
        samples: Tensor,
        sample_rate_hz: int,
        region: tuple[float, float, float, float],
        speed: float,
        seed: int,
    ) -> Tensor:
        height, width = portrait_pixels.shape[-2:]
        x0, y0, x1, y1 = region
        box = FaceRegion(x0, y0, x1 - x0, y1 - y0).scaled(width, height)
        portrait = Portrait(portrait_pixels, "held-out avatar")
        request = TalkRequest(
            portrait,
            box,
            Voice(samples, sample_rate_hz, "held-out voice"),
            HeadMotion(speed, margin=0.0),
            sampling_settings(arguments, model.config.defaults, seed),
            FPS,
        )
        fitted = FittedPortrait(portrait.pixels, CropBox(0, 0, width, height), box)
        return torch.cat([frames.cpu() for frames in animate(model, fitted, request, device, on_progress)])

    return generate


def _reconstruct(model: LoadedModel, device: torch.device):
    """Pixels [N, 3, S, S] through the model's autoencoder and back."""
    autoencoder = model.networks.to(device).autoencoder
    return lambda pixels: autoencoder.reconstruct(pixels.to(device)).cpu()  # type: ignore[union-attr]


def _table(result: dict[str, Any]) -> str:
    """The figures beside their spread over the seeds and the two ceilings."""
    columns = ("figures", "spread", "truth", "truth_through_autoencoder")
    heads = ("model", "spread", "truth", "through autoencoder")
    width = max(map(len, result["figures"]))
    lines = [" ".join([" " * width, *(f"{head:>19}" for head in heads)])]
    for name in result["figures"]:
        values = (result[column].get(name) for column in columns)
        cells = (" " * 19 if value is None else f"{value:19.3f}" for value in values)
        lines.append(" ".join([f"{name:<{width}}", *cells]))
    return "\n".join(lines)
