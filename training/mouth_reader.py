"""A reader of the mouth from latents, for the loss alone: how open, wide and round it is drawn.

The velocity's error counts every channel of every place; the mouth is a few of 256 places, and how far it
opens is a small part of what they say. A reader makes it a term of its own, see `StageConfig.mouth_weight`.
"""

import argparse
import logging
from pathlib import Path

import torch
from torch import Tensor

from ..models.appearance import AppearanceEncoder
from ..models.avatar import AVATAR_AUTOENCODER
from ..models.build import channels_last
from ..models.network_config import AppearanceConfig
from .avatars.state import STATE
from .dataset import Records
from .latent_reader import PICTURES_A_STEP, reader_settings, reading_loss
from .loop import LoopSettings, TrainingRun

logger = logging.getLogger(__name__)

MOUTH = ("open", "wide", "round")
_SCALE = 3.0  # makes numbers in 0..1 of about unit deviation
_NOISE = 0.2  # at most, on the latents: what is read later is predicted


def mouth_numbers(states: Tensor) -> Tensor:
    """What is read of states [..., 14]: [..., 3] of about unit deviation."""
    return _SCALE * states[..., [STATE[name] for name in MOUTH]]


def new_mouth_reader() -> AppearanceEncoder:
    """Latents [N, C, h, w] -> mouth numbers [N, 3], untrained."""
    config = AppearanceConfig(width=len(MOUTH))
    return channels_last(AppearanceEncoder(AVATAR_AUTOENCODER.latent_channels, config))


def load_mouth_reader(checkpoint: Path) -> AppearanceEncoder:
    """A reader as `train_mouth_reader` left it, which learns no more."""
    reader = new_mouth_reader()
    reader.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True)["averaged"])
    return reader.requires_grad_(False).eval()


def _noise_level(generator: torch.Generator) -> Tensor:
    return _NOISE * torch.rand(PICTURES_A_STEP, 1, 1, 1, generator=generator)


def train_mouth_reader(
    records: Records, checkpoint: Path, settings: LoopSettings, seed: int
) -> AppearanceEncoder:
    """Train a reader on records' frames and portraits: latents [N, P, C, h, w] and states [N, P, 14]."""
    torch.manual_seed(seed)
    reader = new_mouth_reader()
    latents, states = records.tensors["latents"], records.tensors["states"]
    run = TrainingRun(reader, settings, checkpoint, seed)

    def wanted(avatars: Tensor, pictures: Tensor) -> Tensor:
        return mouth_numbers(states[avatars, pictures].float())

    def losses(generator: torch.Generator) -> dict[str, Tensor]:
        return reading_loss(reader, latents, wanted, _noise_level, generator)

    reader.train()
    run.run(losses)
    run.load_averaged_weights()
    return reader.requires_grad_(False).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=Path, nargs="+", required=True, help="files of records of one kind")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--seed", type=int, default=16)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    settings = reader_settings(arguments.steps)
    train_mouth_reader(Records(arguments.records), arguments.checkpoint, settings, arguments.seed)


if __name__ == "__main__":
    main()
