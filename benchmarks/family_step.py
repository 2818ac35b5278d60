"""One guided denoising step of a published family, at the published size, with random weights.

Counts its FLOPs on the meta device; with `--device cuda` also times it, eager and compiled, and sets it
against the largest matrix product that the card does in the same dtype.
"""

import argparse
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from comfyui_emo.models.build import build_networks
from comfyui_emo.models.checkpoints.tables import family_named
from comfyui_emo.models.region_audio import VoiceRegions
from comfyui_emo.steps.guidance import Halves, picture_features, prepare_halves

LATENT_SIDE, GUIDANCE, RUNS = 64, 3.5, 5


@torch.no_grad()
def step_of(name: str, device: str, dtype: torch.dtype):
    """A function that computes one step, conditions projected before."""
    config = family_named(name).config
    networks = build_networks(config, device).to(dtype).requires_grad_(False)
    frames, side = config.temporal.frames_per_clip, LATENT_SIDE

    def draw(*shape: int) -> torch.Tensor:
        return torch.rand(shape, device=device, dtype=dtype)

    features = picture_features(networks, draw(1 + config.temporal.motion_frames, 4, side, side), None, True)
    regions = VoiceRegions(tuple(draw(3, 1, (side >> depth) ** 2) for depth in range(4)))
    tokens = draw(1, frames, config.audio.tokens, config.audio.token_width)
    mask = draw(1, config.locator.channels_in, 8 * side, 8 * side)
    halves: Halves = prepare_halves(networks, features, tokens, mask, regions)
    x, t = draw(1, frames, 4, side, side), torch.tensor(500)
    return networks, lambda: halves.predict(networks.backbone, x, t, GUIDANCE)


def seconds(work) -> float:
    """Best of a few runs after a first one."""
    times = []
    with torch.no_grad():
        for _ in range(RUNS + 1):
            torch.cuda.synchronize()
            start = time.perf_counter()
            work()
            torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
    return min(times[1:])


def product_peak(dtype: torch.dtype, width: int = 8192) -> float:
    """FLOP/s of a large matrix product."""
    a, b = (torch.randn(width, width, device="cuda", dtype=dtype) for _ in range(2))
    return 2 * width**3 / seconds(lambda: a @ b)


def main() -> None:
    """Print one line a family."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", default=["hallo", "echomimic", "v-express"])
    parser.add_argument("--device", choices=("meta", "cuda"), default="meta")
    parser.add_argument("--dtype", choices=("float16", "bfloat16"), default="bfloat16")
    arguments = parser.parse_args()
    dtype = getattr(torch, arguments.dtype)
    for name in arguments.families:
        _, work = step_of(name, "meta", dtype)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            work()
        flops = counter.get_total_flops()
        print(f"{name}: {flops / 1e12:.1f} TFLOP a guided step")
        if arguments.device == "meta":
            continue
        networks, work = step_of(name, "cuda", dtype)
        peak = product_peak(dtype)
        for kind in ("eager", "compiled"):
            if kind == "compiled":
                networks.backbone.compile()
            torch.cuda.reset_peak_memory_stats()
            taken = seconds(work)
            memory = torch.cuda.max_memory_allocated() / 1e9
            rate = flops / taken
            print(
                f"  {kind}: {taken:.3f} s, {memory:.1f} GB, {rate / 1e12:.0f} TFLOP/s, {rate / peak:.2f} "
                "of the card's matrix product"
            )


if __name__ == "__main__":
    main()
