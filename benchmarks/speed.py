"""Seconds of computing per second of video, step by step, with the bundled model and its default settings.

python -m comfyui_emo.benchmarks.speed [--seconds 5] [--model M]
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ..models.checkpoints.emo import BUNDLED_MODEL, load_model
from ..steps.decoding import decode_clip
from ..steps.reference import run_reference_net
from ..steps.sampling import sample_clips
from ..steps.talk import fit_to_model, movement_mask, talk_timeline
from ..steps.video_file import VideoWriter
from ..steps.voice_encoding import encode_voice
from .example import example_request
from .report import machine


class Stopwatch:
    """Adds up seconds under names."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


def measure(seconds: float, model_path: Path) -> dict[str, float]:
    """Seconds of computing per second of video for each step of a run."""
    watch, device = Stopwatch(), torch.device("cpu")
    with watch("load"):
        model = load_model(model_path)
    request = example_request(model, seconds)
    fitted = fit_to_model(request.portrait, request.region, model.config)
    timeline = talk_timeline(model, request)
    with watch("encode"):
        features = encode_voice(model.networks, request.voice, timeline, device)
    with watch("reference"):
        reference = run_reference_net(model.networks, fitted, device)
    mask = movement_mask(fitted, request.motion, model.config)
    clips = sample_clips(
        model.networks, reference, features, mask, request.motion, timeline, request.sampling
    )
    defaults = model.config.defaults
    with tempfile.TemporaryDirectory() as folder:
        writer = VideoWriter(
            Path(folder) / "speed.mp4", timeline, request.voice, defaults.width_px, defaults.height_px
        )
        with writer:
            while True:
                with watch("sample"):
                    latents = next(clips, None)
                if latents is None:
                    break
                with watch("decode"):
                    frames = decode_clip(model.networks, latents)
                with watch("write"):
                    writer.write(frames)
    per_second = {
        name: value / timeline.duration_s for name, value in watch.seconds.items() if name != "load"
    }
    return {**per_second, "all": sum(per_second.values()), "load_s": watch.seconds["load"]}


def cached_against_fresh(model_path: Path, repeats: int = 3) -> float:
    """Time of a clip whose projections are made anew at every step, over that of one that keeps them."""
    model = load_model(model_path)
    networks, config = model.networks, model.config
    side = config.defaults.width_px // 8
    frames = config.temporal.frames_per_clip
    generator = torch.Generator().manual_seed(0)
    noisy = torch.randn(1, frames, config.spatial.latent_channels, side, side, generator=generator)
    tokens = torch.randn(1, frames, config.audio.tokens, config.audio.token_width, generator=generator)

    def conditions():
        reference = networks.reference_net(noisy[:, 0])
        count = config.temporal.motion_frames
        motion = tuple(s.output.unflatten(0, (1, count)) for s in networks.reference_net(noisy[0, :count]))
        return networks.backbone.prepare(reference, motion, tokens, None, None)

    def clip(fresh: bool) -> float:
        started = time.perf_counter()
        kept = conditions()
        for _ in range(config.defaults.steps):
            networks.backbone(noisy, torch.tensor([500.0]), conditions() if fresh else kept)
        return time.perf_counter() - started

    with torch.inference_mode():
        clip(False)
        return min(clip(True) for _ in range(repeats)) / min(clip(False) for _ in range(repeats))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--model", type=Path, default=BUNDLED_MODEL)
    parser.add_argument("--threads", type=int, help="of torch; all cores without it")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    figures = {
        "seconds_per_second_of_video": measure(arguments.seconds, arguments.model),
        "fresh_over_cached_projections": cached_against_fresh(arguments.model),
        "measured_on": machine(),
    }
    json.dump(figures, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
