"""A long video's last minute against its first: likeness, sharpness, colour, lip sync, time and memory.

python -m comfyui_emo.benchmarks.long_run [--minutes 10] [--avatar 0] [--steps N] [--guidance G] [--seed 0]

One held-out avatar says all held-out voices, over and over. Frames are measured as they come, so an hour
takes no more memory than a minute.
"""

import argparse
import json
import logging
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from ..models.checkpoints.emo import BUNDLED_MODEL, load_model
from ..steps.face_region import FaceRegion
from ..steps.head_motion import HeadMotion
from ..steps.portrait import CropBox, FittedPortrait, Portrait
from ..steps.sampling_settings import SamplingSettings
from ..steps.talk import TalkRequest, animate
from ..steps.voice import Voice
from ..training.avatars.motion import FPS
from ..training.detector import load_detector
from ..training.evaluation_set import EvaluationSet
from ..training.long_run import LongRun
from .report import machine


class Watch:
    """Takes down what the frames of each minute cost, while they go by."""

    def __init__(self) -> None:
        self.processor_s, self.peak_megabytes = [time.process_time()], [_peak_megabytes()]

    def over(self, clips: Iterable[Tensor]) -> Iterator[Tensor]:
        """The same frames, clip by clip."""
        frames_of_minute = 60 * FPS
        count = 0
        for clip in clips:
            yield clip
            count += len(clip)
            if count >= len(self.processor_s) * frames_of_minute:
                self.processor_s.append(time.process_time())
                self.peak_megabytes.append(_peak_megabytes())

    def report(self) -> dict[str, list[float]]:
        """Of each whole minute of video: processor seconds, and the peak of memory up to its end."""
        spent = [round(end - start, 1) for start, end in pairwise(self.processor_s)]
        return {"processor_seconds_of_minute": spent, "peak_megabytes_after_minute": self.peak_megabytes[1:]}


def _peak_megabytes() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def measure(arguments: argparse.Namespace) -> dict:
    """Generate the video with the model's defaults, but for what the options say, and measure it."""
    torch.set_num_threads(arguments.threads)
    whole = EvaluationSet.load()
    run = LongRun.of(whole, arguments.minutes, arguments.avatar)
    model = load_model(arguments.model)
    defaults = model.config.defaults
    options = {"steps": arguments.steps, "voice_guidance": arguments.guidance}
    chosen = {name: value for name, value in options.items() if value is not None}
    sampling = SamplingSettings.of(defaults, **chosen, seed=arguments.seed)
    portrait = Portrait(run.voices.portrait(0, defaults.height_px), "held-out avatar")
    x0, y0, x1, y1 = whole.region(arguments.avatar)
    size = (defaults.width_px, defaults.height_px)
    region = FaceRegion(x0, y0, x1 - x0, y1 - y0).scaled(*size)
    voice = Voice(run.samples, whole.sample_rate_hz, "held-out voices")
    motion = HeadMotion(whole.speed(arguments.avatar), margin=0.0)
    request = TalkRequest(portrait, region, voice, motion, sampling, FPS)
    fitted = FittedPortrait(portrait.pixels, CropBox(0, 0, *size), region)
    frames = animate(model, fitted, request, torch.device("cpu"))
    settings = {"minutes": arguments.minutes, "avatar": arguments.avatar, "model": model.path.name}
    watch = Watch()
    figures = run.measure(watch.over(frames), load_detector())
    return {**figures, **watch.report(), **settings, "steps": sampling.steps}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--avatar", type=int, default=0, help="which of the held-out set, from 0")
    parser.add_argument("--model", type=Path, default=BUNDLED_MODEL)
    parser.add_argument("--steps", type=int, help="denoising steps; the model's own without it")
    parser.add_argument("--guidance", type=float, help="voice guidance; the model's own without it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    json.dump({**measure(parser.parse_args()), "measured_on": machine()}, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
