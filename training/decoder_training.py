"""The autoencoder's decoder trained on alone: on pictures, then also on what the networks predict.

What the sampler hands to the decoder is not what the encoder made: it is smoother, and fine channels are
missing where the networks do not know them. A decoder that has seen such latents draws the likelier picture.
The encoder stays as it is, so the latents of a dataset made before stay valid.
"""

import argparse
import logging
from pathlib import Path

import torch
from torch import Tensor

from ..models.autoencoder import Autoencoder
from ..models.avatar import avatar_config
from ..models.build import EmoNetworks, build_networks, channels_last
from ..models.checkpoints.emo import load_autoencoder, save_autoencoder
from .autoencoder_training import picture_terms, reconstruction_terms, run_on_pictures
from .avatars.motion import mouth_and_eye_weights
from .batches import draw_batch
from .dataset import Dataset, VoiceFeatureTable
from .loop import LoopSettings, TrainingRun
from .pictures import PicturePool
from .stage_loss import StageLoss
from .stages import STAGES
from .trainer import load_parts

# The clean latents' factor in what the networks see: the pose shows already, the details do not.
SIGNAL = (0.25, 0.7)


def train_decoder(
    autoencoder: Autoencoder,
    pictures: list[Path],
    checkpoint: Path,
    settings: LoopSettings,
    batch_size: int = 8,
    seed: int = 12,
    sharpness_weight: float = 0.0,
) -> Autoencoder:
    """Go on training the decoder on encoded pictures, in place; sharpness_weight: see `picture_terms`."""
    channels_last(autoencoder).eval()
    run = TrainingRun(autoencoder.decoder, settings, checkpoint, seed)
    run_on_pictures(run, autoencoder, pictures, batch_size, sharpness_weight)
    run.load_averaged_weights()
    return autoencoder


def prediction_terms(
    autoencoder: Autoencoder, predicted: Tensor, pixels: Tensor, states: Tensor
) -> dict[str, Tensor]:
    """Loss terms of predicted latents [N, C, h, w] against the true pixels [N, 3, S, S] in 0..1."""
    with torch.autocast("cpu", torch.bfloat16):
        decoded = autoencoder.decode(predicted)
    return picture_terms(decoded.float(), pixels, mouth_and_eye_weights(states, pixels.shape[-1]))


def train_decoder_on_predictions(
    autoencoder: Autoencoder,
    networks: EmoNetworks,
    images: Dataset,
    pictures: list[Path],
    checkpoint: Path,
    settings: LoopSettings,
    records: int = 2,
    seed: int = 13,
) -> Autoencoder:
    """Go on training the decoder, in place: half on latents that the networks predict, half on exact ones.

    Args:
        autoencoder: that the images were encoded with.
        networks: trained; they stay as they are.
        images: records of unrelated frames, written with their pixels.
        pictures: files of `draw_pictures`, a batch of as many pictures each step.
        records: of images in a step.
    """
    channels_last(autoencoder).eval()
    networks.eval()
    even = torch.ones(networks.config.spatial.latent_channels)
    denoiser = StageLoss(networks, STAGES["image"], even)
    pool = PicturePool(pictures)
    run = TrainingRun(autoencoder.decoder, settings, checkpoint, seed)

    def losses(generator: torch.Generator) -> dict[str, Tensor]:
        batch = draw_batch(images, records, networks.config, False, generator)
        predicted = denoiser.predicted_latents(batch, SIGNAL, generator).flatten(0, 1)
        pixels = batch.pixels.flatten(0, 1).float() / 255  # type: ignore[union-attr]
        terms = prediction_terms(autoencoder, predicted, pixels, batch.states.flatten(0, 1))
        exact_pixels, states = pool.draw(len(predicted), generator)
        weights = mouth_and_eye_weights(states, exact_pixels.shape[-1])
        exact = reconstruction_terms(autoencoder, exact_pixels, weights, generator)
        return {
            "loss": terms["loss"] + exact["loss"],
            "mse_of_predictions": terms["mse"],
            "mse_of_pictures": exact["mse"],
        }

    run.run(losses)
    run.load_averaged_weights()
    return autoencoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--autoencoder", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, nargs="+", required=True)
    parser.add_argument("--stage", type=Path, help="a stage's checkpoint: train on its predictions as well")
    parser.add_argument("--images", type=Path, nargs="*", default=[], help="records with their pixels")
    parser.add_argument("--features", type=Path, help="of the images' voices")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--sharpness-weight", type=float, default=0.0, help="see `picture_terms`")
    parser.add_argument("--out", type=Path, required=True, help="file for the finished autoencoder")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    settings = LoopSettings(arguments.steps, arguments.learning_rate, weight_decay=1e-3, decay_share=0.6)
    autoencoder = load_autoencoder(arguments.autoencoder)
    if arguments.stage is None:
        sharpness = arguments.sharpness_weight
        train_decoder(
            autoencoder, arguments.pictures, arguments.checkpoint, settings, sharpness_weight=sharpness
        )
    else:
        networks = channels_last(build_networks(avatar_config()))
        load_parts(networks, arguments.stage)
        images = Dataset(arguments.images, VoiceFeatureTable(arguments.features))
        train_decoder_on_predictions(
            autoencoder, networks, images, arguments.pictures, arguments.checkpoint, settings
        )
    record = {"steps": settings.steps, "pictures": len(arguments.pictures)}
    save_autoencoder(arguments.out, autoencoder, record)


if __name__ == "__main__":
    main()
