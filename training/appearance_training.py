"""The appearance encoder's training: a drawn avatar's latents -> the numbers that make it itself.

It is learned before the stages, in minutes, and does not move in them: a code that stays what it is can be
read, and the encoder can be trained on later without them.
"""

import argparse
import logging
from pathlib import Path

import torch
from torch import Tensor, nn

from ..models.appearance import AppearanceEncoder
from ..models.avatar import AVATAR_APPEARANCE, AVATAR_AUTOENCODER
from ..models.build import channels_last
from ..models.network_config import AppearanceConfig
from .dataset import Records
from .latent_reader import reader_settings, reading_loss
from .loop import LoopSettings, TrainingRun

logger = logging.getLogger(__name__)

_NOISE = 0.05  # on the latents, in their deviations


def train_appearance(
    records: Records, config: AppearanceConfig, checkpoint: Path, settings: LoopSettings, seed: int
) -> AppearanceEncoder:
    """Train an encoder on pictures of records that were written with their codes.

    Its checkpoint holds its weights under their names in `EmoNetworks`, so that a stage can start from it.

    Args:
        records: whose `tensors` hold latents [N, P, C, h, w] and codes [N, W].
    """
    encoder = channels_last(AppearanceEncoder(AVATAR_AUTOENCODER.latent_channels, config))
    placed = nn.ModuleDict({"reference_net": nn.ModuleDict({"appearance": encoder})})
    latents, codes = records.tensors["latents"], records.tensors["codes"]
    run = TrainingRun(placed, settings, checkpoint, seed)

    def losses(generator: torch.Generator) -> dict[str, Tensor]:
        return reading_loss(encoder, latents, lambda avatars, _: codes[avatars], lambda _: _NOISE, generator)

    encoder.train()
    run.run(losses)
    run.load_averaged_weights()
    return encoder.eval()


@torch.no_grad()
def share_read(encoder: AppearanceEncoder, records: Records) -> Tensor:
    """What of each number of the code [W] is read: 1 all of its variance, 0 no better than the mean."""
    latents, codes = records.tensors["latents"].float(), records.tensors["codes"]
    read = encoder(latents.flatten(0, 1)).unflatten(0, latents.shape[:2])
    missed = (read - codes[:, None]).square().mean((0, 1))
    return 1 - missed / codes.var(0, correction=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=Path, nargs="+", required=True, help="files of image records")
    parser.add_argument("--held-out", type=Path, help="others, to tell how much of a code is read")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--seed", type=int, default=15)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    settings = reader_settings(arguments.steps)
    records = Records(arguments.records)
    encoder = train_appearance(records, AVATAR_APPEARANCE, arguments.checkpoint, settings, arguments.seed)
    if arguments.held_out is not None:
        shares = share_read(encoder, Records([arguments.held_out]))
        logger.info("read of the code: %.3f on average, %s", shares.mean(), shares.tolist())


if __name__ == "__main__":
    main()
