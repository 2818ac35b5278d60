"""Peak memory and time of a run by the length of the voice, each length in a process of its own.

python -m comfyui_emo.benchmarks.memory [--minutes 1 60] [--steps N] [--guidance G] [--without-networks]
    [--graph]

With the model's own settings an hour of voice takes hours; one step without guidance computes the same
tensors a twelfth as often, and shows the same growth. Without networks, clips are noise and frames are
enlarged latents: what is left is everything that could pile up (the voice and its features, noise, latents,
the encoder, the file).

With `--graph` the blocks' steps run instead: EMO Encode Audio, EMO Sampler, EMO Combine Video. Files that are
mapped into memory count towards its peak as far as they are in use, though the system can take them back
whenever it wants; so what is this process's own is told beside it, and how much of that is the sound, which
ComfyUI hands over as a whole.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from unittest import mock

from .report import machine


def leave_out_networks() -> None:
    """Let clips be noise, and frames three channels of their latents, enlarged."""
    from torch.nn import functional as F

    from ..models.backbone import Backbone
    from ..steps import graph_model, sampling, talk

    def denoise_clip(backbone, noise, *_):
        return noise

    def nothing(*_):
        return None

    mock.patch.object(Backbone, "prepare", nothing).start()
    mock.patch.object(sampling, "motion_features", nothing).start()

    def decode(latents):
        return F.interpolate(0.05 * latents[:, :3], scale_factor=8.0, mode="bilinear") + 0.5

    def decode_clip(networks, latents, *_):
        return decode(latents[0])

    def decode_images(vae, samples):
        return decode(samples).movedim(1, -1)

    def bring_for_run(model, guided):
        return model.bring_all(), None  # nothing to estimate

    mock.patch.object(sampling, "denoise_clip", denoise_clip).start()
    mock.patch.object(talk, "decode_clip", decode_clip).start()
    mock.patch.object(graph_model.ModelVae, "decode", decode_images).start()
    mock.patch.object(graph_model.GraphModel, "bring_for_run", bring_for_run).start()


def measure(seconds: float, steps: int | None, guidance: float | None, graph: bool) -> dict[str, float]:
    """Peak memory of this process and the time of animating `seconds` of voice from file to file."""
    import torch

    from ..models.checkpoints.emo import load_model
    from ..steps.talk import talk
    from ..steps.voice import open_voice
    from .example import example_request, write_long_voice
    from .graph_run import run_graph

    torch.set_num_threads(1)
    model = load_model()
    sound: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, OwnMemory() as own:
        path = Path(folder) / "voice.wav"
        write_long_voice(path, seconds)
        request = example_request(model, 1.0)
        sampling = request.sampling
        if steps is not None:
            sampling = replace(sampling, steps=steps)
        if guidance is not None:
            sampling = replace(sampling, voice_guidance=guidance)
        started_s = time.perf_counter()
        request = replace(request, voice=open_voice(path), sampling=sampling)
        if graph:
            sound = run_graph(model, request, path, Path(folder))
        else:
            talk(model, request, Path(folder) / "memory.mp4", torch.device("cpu"))
        took_s = time.perf_counter() - started_s
    return {
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "peak_own_megabytes": round(own.peak_bytes / 2**20, 1),
        **sound,
        "seconds": round(took_s, 1),
        "processor_seconds": round(time.process_time(), 1),
    }


class OwnMemory:
    """Watches how much memory belongs to this process alone, without files that are mapped into it.

    Attributes:
        peak_bytes: the most that was seen, looked at ten times a second.
    """

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "OwnMemory":
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            lines = Path("/proc/self/status").read_text().splitlines()
            kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))
            self.peak_bytes = max(self.peak_bytes, 1024 * kilobytes)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 60.0])
    parser.add_argument("--steps", type=int, help="denoising steps; the model's own without it")
    parser.add_argument("--guidance", type=float, help="voice guidance; the model's own without it")
    parser.add_argument(
        "--one", type=float, help="measure one length in this process (used by the benchmark itself)"
    )
    parser.add_argument("--without-networks", action="store_true", help="leave sampling and decoding out")
    parser.add_argument("--graph", action="store_true", help="the graph's blocks instead of the command line")
    arguments = parser.parse_args()
    if arguments.without_networks:
        leave_out_networks()
    if arguments.one is not None:
        found = measure(60 * arguments.one, arguments.steps, arguments.guidance, arguments.graph)
        json.dump(found, sys.stdout)
        return
    settings = [
        part
        for name in ("steps", "guidance")
        if (value := getattr(arguments, name)) is not None
        for part in (f"--{name}", str(value))
    ]
    settings += ["--without-networks"] * arguments.without_networks + ["--graph"] * arguments.graph
    runs = {}
    for minutes in arguments.minutes:
        command = [sys.executable, "-m", __spec__.name, "--one", str(minutes), *settings]
        output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        runs[f"{minutes:g} min"] = json.loads(output.splitlines()[-1])
    json.dump({"runs": runs, "settings": settings, "measured_on": machine()}, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
