"""Peak memory of a run by the length of the voice, each length in a process of its own.

python -m comfyui_emo.benchmarks.memory [--seconds 5 60]
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from .report import machine


def peak_megabytes(seconds: float) -> float:
    """Peak resident memory of this process after animating `seconds` of voice."""
    import torch

    from ..models.checkpoints.emo import load_model
    from ..steps.talk import talk
    from .example import example_request

    model = load_model()
    with tempfile.TemporaryDirectory() as folder:
        talk(model, example_request(model, seconds), Path(folder) / "memory.mp4", torch.device("cpu"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, nargs="+", default=[5.0, 60.0])
    parser.add_argument(
        "--one", type=float, help="measure one length in this process (used by the benchmark itself)"
    )
    arguments = parser.parse_args()
    if arguments.one is not None:
        json.dump(peak_megabytes(arguments.one), sys.stdout)
        return
    peaks = {}
    for seconds in arguments.seconds:
        command = [sys.executable, "-m", __spec__.name, "--one", str(seconds)]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        peaks[f"{seconds:g} s"] = round(json.loads(output.splitlines()[-1]), 1)
    json.dump({"peak_megabytes": peaks, "measured_on": machine()}, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
