"""Training of the evaluator's detector on single pictures of drawn avatars, spoilt as generated video is."""

import argparse
import logging
import math
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from ..models.build import channels_last
from .avatars.identity import draw_identities
from .avatars.renderer import render
from .avatars.state import STATE, STATE_NAMES, draw_states
from .detector import INPUT_SIZE_PX, AvatarDetector, DetectorConfig, save_detector
from .loop import LoopSettings, TrainingRun
from .pictures import PicturePool

logger = logging.getLogger(__name__)

HELD_OUT_SEED = 990_001
LARGEST_MOVE = 0.2  # half-widths of the picture by which pictures are moved besides
_MIRRORED = ("gaze_x", "yaw", "roll", "shift_x")
# What the figures stand on weighs more.
_WEIGHTS = {"open": 6.0, "round": 3.0, "wide": 2.0, "blink": 2.0, "gaze_x": 0.3, "gaze_y": 0.3, "brow": 0.3}


def _chance(count: int, probability: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(count, generator=generator) < probability).float()


def _amount(count: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, 1, 1, 1, generator=generator)


def moved(pixels: Tensor, states: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pictures [B, 3, S, S] moved by up to LARGEST_MOVE and half of them mirrored, and their new states."""
    count = len(pixels)
    mirror = 1 - 2 * _chance(count, 0.5, generator)
    move = (
        (2 * torch.rand(count, 2, generator=generator) - 1)
        * LARGEST_MOVE
        * torch.rand(count, 1, generator=generator)
    )
    grid = torch.zeros(count, 2, 3)  # where the pixel of the new picture is taken from
    grid[:, 0, 0], grid[:, 1, 1] = mirror, 1
    grid[:, 0, 2], grid[:, 1, 2] = -mirror * move[:, 0], -move[:, 1]
    sampled = F.grid_sample(
        pixels,
        F.affine_grid(grid, list(pixels.shape), align_corners=False),
        padding_mode="border",
        align_corners=False,
    )
    changed = states.clone()
    for name in _MIRRORED:
        changed[:, STATE[name]] *= mirror
    changed[:, STATE["shift_x"]] += move[:, 0]
    changed[:, STATE["shift_y"]] += move[:, 1]
    return sampled, changed


def coarsely_coded(pixels: Tensor, steps: Tensor) -> Tensor:
    """Pictures whose 8x8 blocks keep only multiples of `steps` [B, 1, 1, 1] of their cosine components.

    This is what JPEG and H.264 do to a picture, without the colour transform.
    """
    index = torch.arange(8.0)
    basis = torch.cos(math.pi / 8 * (index + 0.5) * index[:, None]) * 0.5
    basis[0] *= math.sqrt(0.5)
    blocks = pixels.unfold(2, 8, 8).unfold(3, 8, 8)  # [B, 3, S/8, S/8, 8, 8]
    quantum = steps[..., None, None] * (1 + index + index[:, None]) / 4  # fine detail is coded more coarsely
    components = basis @ blocks @ basis.T
    decoded = basis.T @ ((components / quantum).round() * quantum) @ basis
    return decoded.transpose(3, 4).reshape(pixels.shape)


def spoilt(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures [B, 3, S, S] in 0..1 under random blur, coding, noise, brightness and tint."""
    count = len(pixels)
    kernel = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    blurred = pixels
    for shape in ((1, 5), (5, 1)):
        padded = F.pad(blurred, (shape[1] // 2,) * 2 + (shape[0] // 2,) * 2, mode="replicate")
        blurred = F.conv2d(padded, kernel.view(1, 1, *shape).expand(3, 1, *shape), groups=3)
    result = torch.lerp(pixels, blurred, 1.2 * _amount(count, generator))
    coded = coarsely_coded(result, 0.02 + 0.2 * _amount(count, generator))
    result = torch.lerp(result, coded, _chance(count, 0.4, generator).view(-1, 1, 1, 1))
    noise = torch.randn(result.shape, generator=generator) * 0.04 * _amount(count, generator)
    gain = 1 + 0.08 * torch.randn(count, 3, 1, 1, generator=generator)
    level = 0.03 * torch.randn(count, 3, 1, 1, generator=generator)
    return (result * gain + level + noise).clamp(0, 1)


def detection_terms(
    detector: AvatarDetector, pixels: Tensor, states: Tensor, generator: torch.Generator
) -> dict[str, Tensor]:
    """Loss terms of a batch of clean pictures [B, 3, S, S] and their states [B, 14]."""
    small = F.interpolate(pixels, (INPUT_SIZE_PX, INPUT_SIZE_PX), mode="area")
    small, states = moved(small, states, generator)
    small = spoilt(small, generator).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        answers = detector(small)
    squared = (answers.float() - detector.in_units(states)).square().mean(0)
    weights = torch.tensor([_WEIGHTS.get(name, 1.0) for name in STATE_NAMES])
    return {"loss": (squared * weights).sum() / weights.sum(), "open_mse": squared[STATE["open"]].detach()}


@torch.no_grad()
def held_out_correlations(detector: AvatarDetector, count: int = 256) -> dict[str, float]:
    """Correlation of each state with what is read from clean pictures of avatars that training never saw."""
    generator = torch.Generator().manual_seed(HELD_OUT_SEED)
    states = draw_states(count, generator)
    readings = detector.detect(render(draw_identities(count, generator), states))
    together = torch.stack([states, readings])  # [2, N, 14]
    together = together - together.mean(1, keepdim=True)
    product = (together[0] * together[1]).sum(0) / (together[0].norm(dim=0) * together[1].norm(dim=0))
    return {name: round(float(product[column]), 4) for name, column in STATE.items()}


def train_detector(
    pictures: list[Path], checkpoint: Path, settings: LoopSettings, batch_size: int = 64, seed: int = 31
) -> AvatarDetector:
    """Train, or go on training from `checkpoint`, and return the averaged weights in eval mode."""
    torch.manual_seed(seed)
    detector = channels_last(AvatarDetector(DetectorConfig()))
    run = TrainingRun(detector, settings, checkpoint, seed)
    pool = PicturePool(pictures)

    def losses(generator: torch.Generator) -> dict[str, Tensor]:
        return detection_terms(detector, *pool.draw(batch_size, generator), generator)

    run.run(losses)
    run.load_averaged_weights()
    return detector.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, nargs="+", required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3600)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    settings = LoopSettings(steps=arguments.steps, learning_rate=2e-3, decay_share=0.5, ema_decay=0.99)
    detector = train_detector(arguments.pictures, arguments.checkpoint, settings)
    correlations = held_out_correlations(detector)
    logger.info("held-out correlations: %s", correlations)
    save_detector(
        arguments.out,
        detector,
        {"loop": asdict(settings), "held_out_correlations": correlations, "held_out_seed": HELD_OUT_SEED},
    )


if __name__ == "__main__":
    main()
