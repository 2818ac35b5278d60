"""The decoder's training: to draw as sharply as the truth, and on what the networks predict."""

from pathlib import Path

import pytest
import torch
from kornia.filters import gaussian_blur2d
from safetensors.torch import save_file
from tone_corpus import tone_corpus

from comfyui_emo.models.checkpoints.emo import LoadedModel, load_model
from comfyui_emo.training.autoencoder_training import missed_sharpness, picture_terms
from comfyui_emo.training.batches import draw_batch
from comfyui_emo.training.dataset import Dataset, DatasetSettings, VoiceFeatureTable, write_dataset
from comfyui_emo.training.decoder_training import (
    prediction_terms,
    train_decoder,
    train_decoder_on_predictions,
)
from comfyui_emo.training.loop import LoopSettings
from comfyui_emo.training.pictures import PicturePool, draw_pictures
from comfyui_emo.training.stage_loss import StageLoss
from comfyui_emo.training.stages import STAGES


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return load_model()


@pytest.fixture(scope="module")
def images(model: LoadedModel, tmp_path_factory) -> Dataset:
    """Records of one utterance without a voice, with their pixels."""
    folder = tmp_path_factory.mktemp("drawn")
    silence = torch.zeros(100, model.config.audio.feature_width, dtype=torch.float16)
    save_file({"features": silence, "offsets": torch.tensor([0, 100])}, folder / "features.safetensors")
    settings = DatasetSettings(2, 4, 1, in_a_row=False, seed=3, keeps_pixels=True)
    write_dataset(folder / "drawn.safetensors", tone_corpus(1, 4.0), model.networks.autoencoder, settings)
    return Dataset([folder / "drawn.safetensors"], VoiceFeatureTable(folder / "features.safetensors"))


def _denoiser(model: LoadedModel) -> StageLoss:
    return StageLoss(model.networks, STAGES["image"], torch.ones(model.config.spatial.latent_channels))


def test_a_record_s_pixels_are_those_of_its_latents(model: LoadedModel, images: Dataset):
    batch = draw_batch(images, 2, model.config, False, torch.Generator().manual_seed(0))
    pixels = batch.pixels.flatten(0, 1).float() / 255
    with torch.no_grad():
        again = model.networks.autoencoder.encode(pixels)
    error = (again - batch.latents.flatten(0, 1)).square().mean().sqrt()
    assert pixels.shape == (8, 3, 128, 128) and float(error) < 0.05


def test_latents_predicted_from_their_true_velocity_are_the_clean_ones(
    model: LoadedModel, images: Dataset, monkeypatch
):
    denoiser, clean = _denoiser(model), {}

    def true_velocity(batch, noisy, timesteps, conditions):
        level = denoiser.levels[timesteps].view(-1, 1, 1, 1, 1)
        noise = (noisy - level.sqrt() * batch.latents) / (1 - level).sqrt()
        clean["signal"] = level.sqrt().flatten()
        return level.sqrt() * noise - (1 - level).sqrt() * batch.latents

    monkeypatch.setattr(denoiser, "_velocity", true_velocity)
    batch = draw_batch(images, 2, model.config, False, torch.Generator().manual_seed(0))
    predicted = denoiser.predicted_latents(batch, (0.25, 0.7), torch.Generator().manual_seed(0))
    torch.testing.assert_close(predicted, batch.latents, rtol=1e-3, atol=1e-3)
    signal = clean["signal"]
    assert len(signal.unique()) == 8 and float(signal.min()) > 0.24 and float(signal.max()) < 0.71


def test_predictions_are_nearer_to_the_truth_with_more_signal(model: LoadedModel, images: Dataset):
    batch = draw_batch(images, 2, model.config, False, torch.Generator().manual_seed(0))
    errors = []
    for signal in (0.2, 0.9):
        predicted = _denoiser(model).predicted_latents(
            batch, (signal, signal), torch.Generator().manual_seed(1)
        )
        errors.append(float((predicted - batch.latents).square().mean()))
    assert errors[1] < 0.5 * errors[0] < 0.5


def test_the_decoder_learns_to_draw_predictions_and_nothing_else_changes(
    model: LoadedModel, images: Dataset, tmp_path: Path
):
    pictures = tmp_path / "pictures.safetensors"
    draw_pictures(pictures, 8, seed=1)
    autoencoder, networks = load_model().networks.autoencoder, model.networks
    before = {name: value.clone() for name, value in autoencoder.state_dict().items()}
    kept = {name: value.clone() for name, value in networks.state_dict().items()}
    generator = torch.Generator().manual_seed(5)
    batch = draw_batch(images, 2, model.config, False, generator)
    predicted = _denoiser(model).predicted_latents(batch, (0.3, 0.5), generator).flatten(0, 1)
    given = (predicted, batch.pixels.flatten(0, 1).float() / 255, batch.states.flatten(0, 1))
    with torch.no_grad():
        first = float(prediction_terms(autoencoder, *given)["loss"])
    settings, checkpoint = LoopSettings(12, 1e-3, warmup_steps=1, ema_decay=0.0), tmp_path / "decoder.ckpt"
    train_decoder_on_predictions(autoencoder, networks, images, [pictures], checkpoint, settings)
    with torch.no_grad():
        assert float(prediction_terms(autoencoder, *given)["loss"]) < 0.95 * first
    changed = {
        name for name, value in autoencoder.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed and all(name.startswith("decoder.") for name in changed)
    assert all(torch.equal(value, kept[name]) for name, value in networks.state_dict().items())


def test_pictures_as_sharp_as_the_truth_miss_nothing_wherever_their_edges_lie(tmp_path: Path):
    draw_pictures(tmp_path / "pictures.safetensors", 4, seed=1)
    pixels, _ = PicturePool([tmp_path / "pictures.safetensors"]).draw(4, torch.Generator().manual_seed(0))
    weights = torch.ones_like(pixels[:, :1])
    moved = torch.cat([pixels[..., :1], pixels[..., :-1]], -1)
    soft = gaussian_blur2d(pixels, (5, 5), (1.0, 1.0))
    assert float(missed_sharpness(pixels, pixels, weights)) == 0
    assert float(missed_sharpness(moved, pixels, weights)) < 0.5 * float(
        missed_sharpness(soft, pixels, weights)
    )
    plain, sharp = (float(picture_terms(soft, pixels, weights, weight)["loss"]) for weight in (0.0, 2.0))
    assert sharp - plain == pytest.approx(2 * float(missed_sharpness(soft, pixels, weights)), rel=1e-4)


def test_a_decoder_that_is_asked_to_be_sharp_draws_sharper_than_one_that_is_not(tmp_path: Path):
    draw_pictures(tmp_path / "pictures.safetensors", 8, seed=1)
    pixels, _ = PicturePool([tmp_path / "pictures.safetensors"]).draw(8, torch.Generator().manual_seed(0))
    settings, missed = LoopSettings(15, 1e-3, warmup_steps=1, ema_decay=0.0), []
    for weight in (0.0, 4.0):
        autoencoder = load_model().networks.autoencoder
        checkpoint = tmp_path / f"decoder_{weight}.ckpt"
        pictures = [tmp_path / "pictures.safetensors"]
        trained = train_decoder(autoencoder, pictures, checkpoint, settings, sharpness_weight=weight)
        with torch.no_grad():
            decoded = trained.reconstruct(pixels)
        missed.append(float(missed_sharpness(decoded, pixels, torch.ones_like(pixels[:, :1]))))
    assert missed[1] < 0.9 * missed[0]
