"""Training of the bundled model's autoencoder on single pictures of drawn avatars."""

import argparse
import logging
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from ..models.autoencoder import Autoencoder
from ..models.avatar import AVATAR_AUTOENCODER
from ..models.build import channels_last
from ..models.checkpoints.emo import save_autoencoder
from .avatars.motion import mouth_and_eye_weights
from .figures import squared_gradients
from .loop import LoopSettings, TrainingRun
from .pictures import PicturePool

# The sampler never hits a latent exactly; a decoder that has only seen exact ones shows it.
LATENT_NOISE = 0.1
_SHARPNESS_CELL_PX = 8
_LEAST_ENERGY = 1e-4  # of a cell, so that flat ones have a gradient


def reconstruction_terms(
    autoencoder: Autoencoder,
    pixels: Tensor,
    weights: Tensor,
    generator: torch.Generator,
    sharpness_weight: float = 0.0,
) -> dict[str, Tensor]:
    """Loss terms of a batch [B, 3, S, S] in 0..1 that is encoded and decoded, see `picture_terms`.

    Of an autoencoder in eval mode only the decoder gets gradients.
    """
    with torch.autocast("cpu", torch.bfloat16):
        with torch.set_grad_enabled(autoencoder.training):
            latents = autoencoder.encode(pixels)
        level = LATENT_NOISE * torch.rand(len(latents), 1, 1, 1, generator=generator)
        noisy = latents + level * torch.randn(latents.shape, generator=generator)
        decoded = autoencoder.decode(noisy)
    return picture_terms(decoded.float(), pixels, weights, sharpness_weight)


def missed_sharpness(decoded: Tensor, pixels: Tensor, weights: Tensor) -> Tensor:
    """How much sharper or softer pictures are than they should be, cell by cell, wherever their edges lie.

    The other terms are least for a picture without the edges whose place is not certain, which looks soft.
    """
    cells = F.avg_pool2d(weights, _SHARPNESS_CELL_PX)
    return ((_sharpness(decoded) - _sharpness(pixels)).abs() * cells).mean()


def _sharpness(pictures: Tensor) -> Tensor:
    """Root of the mean squared gradient in every cell [B, 1, S / cell, S / cell]."""
    energy = F.pad(squared_gradients(pictures), (0, 1, 0, 1))
    return (F.avg_pool2d(energy, _SHARPNESS_CELL_PX) + _LEAST_ENERGY).sqrt()


def picture_terms(
    decoded: Tensor, pixels: Tensor, weights: Tensor, sharpness_weight: float = 0.0
) -> dict[str, Tensor]:
    """Loss terms of a batch: weighted L1 and L2 of the pixels, weighted L1 of their gradients, and sharpness.

    Args:
        decoded, pixels: [B, 3, S, S] in 0..1.
        weights: [B, 1, S, S], larger on mouth and eyes.
        sharpness_weight: of `missed_sharpness`.
    """
    error = decoded - pixels
    absolute = (weights * error.abs()).mean()
    squared = (weights * error.square()).mean()
    across, down = error.diff(dim=-1).abs() * weights[..., 1:], error.diff(dim=-2).abs() * weights[..., 1:, :]
    edges = across.mean() + down.mean()
    loss = absolute + 4 * squared + edges
    if sharpness_weight:
        loss = loss + sharpness_weight * missed_sharpness(decoded, pixels, weights)
    return {"loss": loss, "mse": error.detach().square().mean()}


@torch.no_grad()
def psnr_db(picture: Tensor, truth: Tensor) -> float:
    """Peak signal-to-noise ratio of pixels in 0..1, over the whole tensor."""
    return float(-10 * torch.log10(F.mse_loss(picture, truth)))


def run_on_pictures(
    run: TrainingRun,
    autoencoder: Autoencoder,
    pictures: list[Path],
    batch_size: int,
    sharpness_weight: float = 0.0,
) -> None:
    """Train to the last step on pictures drawn at random from files of `draw_pictures`."""
    pool = PicturePool(pictures)

    def losses(generator: torch.Generator) -> dict[str, Tensor]:
        pixels, states = pool.draw(batch_size, generator)
        weights = mouth_and_eye_weights(states, pixels.shape[-1])
        return reconstruction_terms(autoencoder, pixels, weights, generator, sharpness_weight)

    run.run(losses)


def train_autoencoder(
    pictures: list[Path], checkpoint: Path, settings: LoopSettings, batch_size: int = 8, seed: int = 11
) -> Autoencoder:
    """Train, or go on training from `checkpoint`, and return the averaged weights in eval mode."""
    torch.manual_seed(seed)
    autoencoder = channels_last(Autoencoder(AVATAR_AUTOENCODER))
    run = TrainingRun(autoencoder, settings, checkpoint, seed)
    run_on_pictures(run, autoencoder, pictures, batch_size)
    run.load_averaged_weights()
    return autoencoder.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, nargs="+", required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--learning-rate", type=float, default=1.5e-3)
    parser.add_argument("--out", type=Path, required=True, help="file for the finished autoencoder")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    settings = LoopSettings(steps=arguments.steps, learning_rate=arguments.learning_rate, weight_decay=1e-3)
    autoencoder = train_autoencoder(arguments.pictures, arguments.checkpoint, settings)
    save_autoencoder(
        arguments.out, autoencoder, {"steps": settings.steps, "pictures": len(arguments.pictures)}
    )


if __name__ == "__main__":
    main()
