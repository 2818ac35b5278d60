"""One guided denoising step of a published family, with random weights: its FLOPs, time and memory.

On the meta device it counts FLOPs. On a card or a CPU it also times the step, eager and compiled, and sets it
against the largest matrix product that the device does in the same dtype. With `--reference` it runs the
family's own code as well, from a checkout of its repository, with the same weights and inputs, and tells by
how much the predictions differ and how long each takes. On a CPU times are of the processor, on a card of
the clock.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ..errors import InputError
from ..models.build import EmoNetworks
from ..models.checkpoints.family import Family
from ..models.checkpoints.tables import family_named
from .family_example import StepInputs, random_networks, sized
from .published_code import CODES, PublishedStep, check_checkout
from .report import machine

GUIDANCE = 3.5


@dataclass(frozen=True)
class Step:
    """A step of ours, conditions projected before.

    Attributes:
        networks, given: its weights and inputs.
        predict: computes it, [1, F, C, h, w].
    """

    networks: EmoNetworks
    given: StepInputs
    predict: Callable[[], Tensor]

    @classmethod
    @torch.no_grad()
    def of(cls, family: Family, side: int, device: str, dtype: torch.dtype) -> "Step":
        """Random weights and inputs, the same each time, for latents of this side."""
        torch.manual_seed(0)
        networks = random_networks(family.config, device, dtype)
        given = StepInputs.draw(family.config, side, side, networks.backbone.conv_in.weight)
        halves = given.halves(networks)
        x, t = given.latents, given.timestep
        return cls(networks, given, lambda: halves.predict(networks.backbone, x, t, GUIDANCE))


@torch.no_grad()
def seconds(work: Callable[[], object], device: str) -> float:
    """How long it takes once."""
    if device == "cpu":
        start = time.process_time()
        work()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def best(works: list[Callable[[], object]], device: str, runs: int) -> list[float]:
    """The best of some runs of each after a first one, taking turns, so that all meet the same machine."""
    times = [[seconds(work, device) for work in works] for _ in range(runs + 1)]
    return [min(column) for column in zip(*times[1:], strict=True)]


@torch.no_grad()
def tera_flops(work: Callable[[], object], device: str = "meta") -> float:
    """FLOPs of a run over 1e12."""
    # A CPU's fused attention is not counted; taken apart it is.
    kernel = sdpa_kernel(SDPBackend.MATH) if device == "cpu" else nullcontext()
    with kernel, FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 1e12


def product_rate(device: str, dtype: torch.dtype, runs: int) -> float:
    """TFLOP/s of a large matrix product."""
    width = 8192 if device == "cuda" else 2048
    a, b = (torch.randn(width, width, device=device, dtype=dtype) for _ in range(2))
    return 2 * width**3 / 1e12 / best([lambda: a @ b], device, runs)[0]


def report(name: str, step: Step, flops: float, arguments: argparse.Namespace) -> None:
    """Times of a step, eager and, if asked for, compiled."""
    device = arguments.device
    peak = product_rate(device, step.given.latents.dtype, arguments.runs)
    for kind in ("eager", "compiled") if arguments.compile else ("eager",):
        if kind == "compiled":
            step.networks.backbone.compile()
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        taken = best([step.predict], device, arguments.runs)[0]
        memory = f"{torch.cuda.max_memory_allocated() / 1e9:.1f} GB, " if device == "cuda" else ""
        print(
            f"{name}, {kind}: {taken:.3f} s, {memory}{flops / taken:.3g} TFLOP/s, "
            f"{flops / taken / peak:.2f} of the matrix product's {peak:.3g}",
            flush=True,
        )


@torch.no_grad()
def compare(family: Family, step: Step, flops: float, arguments: argparse.Namespace) -> None:
    """Our step against the one of the family's own code."""
    theirs = PublishedStep(family, arguments.reference, step.networks, step.given)
    works: list[Callable[[], object]] = [step.predict, lambda: theirs.predict(GUIDANCE)]
    own, wanted = step.predict().float(), theirs.predict(GUIDANCE).float()
    difference = float((own - wanted).norm() / wanted.norm())
    ours_s, theirs_s = best(works, arguments.device, arguments.runs)
    counted = tera_flops(works[1], arguments.device)
    print(
        f"{family.name}, its own code: {theirs_s:.3f} s and {counted:.4g} TFLOP; ours {ours_s:.3f} s, "
        f"{ours_s / theirs_s:.2f} times as long, and {flops:.4g} TFLOP, {flops / counted:.2f} times as many; "
        f"predictions differ by {difference:.1e} of their size",
        flush=True,
    )


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("families", nargs="*", default=["hallo", "echomimic", "v-express"])
    made.add_argument("--device", choices=("meta", "cpu", "cuda"), default="meta")
    made.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="bfloat16")
    made.add_argument("--latent-side", type=int, default=64, metavar="N", help="64: 512x512 pixels (default)")
    made.add_argument("--frames", type=int, metavar="N", help="frames of a clip (default: the family's)")
    made.add_argument("--narrower", type=int, default=1, metavar="N", help="divide all widths: 10, to try")
    made.add_argument("--runs", type=int, default=5, metavar="N", help="timed runs (default: 5)")
    made.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    made.add_argument(
        "--reference", type=Path, metavar="PATH", help="a checkout of the repository of the one family named"
    )
    return made


def main() -> None:
    """Print a few lines a family."""
    options = parser()
    arguments = options.parse_args()
    if arguments.reference is not None and (len(arguments.families) != 1 or arguments.device == "meta"):
        options.error("--reference wants one family, and --device cpu or cuda")
    if arguments.reference is not None and arguments.families[0] not in CODES:
        options.error(f"--reference knows the code of {', '.join(CODES)}")
    try:
        if arguments.reference is not None:
            check_checkout(arguments.families[0], arguments.reference)
        measure(arguments)
    except InputError as error:
        options.error(str(error))


def measure(arguments: argparse.Namespace) -> None:
    """What the options ask for, family by family."""
    print(machine(), flush=True)
    dtype = getattr(torch, arguments.dtype)
    for name in arguments.families:
        family = sized(family_named(name), arguments.narrower, arguments.frames)
        flops = tera_flops(Step.of(family, arguments.latent_side, "meta", dtype).predict)
        print(f"{name}: {flops:.4g} TFLOP a guided step", flush=True)
        if arguments.device == "meta":
            continue
        step = Step.of(family, arguments.latent_side, arguments.device, dtype)
        if arguments.reference is not None:
            compare(family, step, flops, arguments)
        report(name, step, flops, arguments)


if __name__ == "__main__":
    main()
