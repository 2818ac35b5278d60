"""`comfyui-emo evaluate`: the held-out figures of a model."""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ..errors import InputError
from ..models.checkpoints.emo import BUNDLED_MODEL, load_model
from ..models.config import SamplingDefaults
from ..training.detector import load_detector
from ..training.evaluation_set import EvaluationSet
from .checks import check_output_folder, choose_device, whole_file
from .evaluate_parts import DRIFT, FIGURES, MECHANISMS, Evaluation, read_recording
from .evaluate_table import as_text
from .settings import sampling_settings


def run(arguments: argparse.Namespace) -> str:
    """Evaluate, write what was asked for, and give the figures as a table.

    Raises:
        EmoError: an option, a file or the output cannot be used.
    """
    device = _check(arguments)
    recording = None if arguments.recording is None else read_recording(arguments.recording)
    evaluation_set, detector = EvaluationSet.load(), load_detector()
    if arguments.clips is not None:
        evaluation_set = evaluation_set.first(arguments.clips)
    model = load_model(arguments.model or BUNDLED_MODEL)
    evaluation = Evaluation(model, arguments, device, evaluation_set, detector)
    with _optional_file(arguments.out) as out, _optional_file(arguments.sheet) as sheet:
        result = evaluation.figures(sheet) if FIGURES in arguments.parts else {}
        if MECHANISMS in arguments.parts:
            result.update(evaluation.mechanisms())
        if DRIFT in arguments.parts:
            result["drift"] = evaluation.drift()
        if recording is not None:
            result["recording"] = evaluation.recording(recording)
        result["model"] = {"name": model.config.name, "file": str(model.path), "training": model.training}
        if out is not None:
            out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return as_text(result)


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
    if arguments.sheet is not None and FIGURES not in arguments.parts:
        raise InputError(
            got=f"contact sheet {arguments.sheet} without --parts {FIGURES}",
            allowed=f"a contact sheet of the videos that --parts {FIGURES} makes",
            do=f"add {FIGURES} to --parts, or leave --sheet out",
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
