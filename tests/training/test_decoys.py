"""Badly remembered faces, from which the networks learn to go back to the portrait's."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from seeded import seeded
from tone_corpus import tone_corpus, write_silent_features

from comfyui_emo.errors import InputError
from comfyui_emo.models.avatar import avatar_config
from comfyui_emo.models.build import build_networks
from comfyui_emo.models.checkpoints.emo import load_model
from comfyui_emo.training.avatars.identity import draw_identities
from comfyui_emo.training.avatars.state import draw_states
from comfyui_emo.training.batches import draw_batch
from comfyui_emo.training.dataset import (
    Dataset,
    DatasetSettings,
    VoiceFeatureTable,
    draw_decoys,
    write_dataset,
)
from comfyui_emo.training.stage_loss import StageLoss
from comfyui_emo.training.stages import STAGES

CONFIG = avatar_config()
EVEN = torch.ones(CONFIG.spatial.latent_channels)
ONLY_DECOYS = replace(
    STAGES["video"], decoy_share=1.0, portrait_dropout=0.0, motion_dropout=0.0, motion_noise=0.0
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Clip records of one utterance with decoys and without, and image records with them."""
    folder = tmp_path_factory.mktemp("decoys")
    write_silent_features(folder / "features.safetensors")
    corpus, autoencoder = tone_corpus(1, 4.0), load_model().networks.autoencoder
    clips, images = (
        DatasetSettings(2, 17, 1, in_a_row=True, seed=3),
        DatasetSettings(2, 4, 1, in_a_row=False, seed=3),
    )
    write_dataset(folder / "plain.safetensors", corpus, autoencoder, clips)
    write_dataset(folder / "clips.safetensors", corpus, autoencoder, replace(clips, decoys=True))
    write_dataset(folder / "images.safetensors", corpus, autoencoder, replace(images, decoys=True))
    return folder


def dataset(folder: Path, name: str) -> Dataset:
    return Dataset([folder / f"{name}.safetensors"], VoiceFeatureTable(folder / "features.safetensors"))


def test_a_badly_remembered_avatar_has_other_eyes_and_the_same_head():
    own, others = draw_identities(64, seeded(1)), draw_identities(64, seeded(2))
    decoy = own.mistaken_for(others, seeded(3))
    for name in ("face_width", "face_height", "jaw_taper", "hair_length", "bald", "cloth", "mouth_width"):
        assert torch.equal(getattr(decoy, name), getattr(own, name))
    for name in ("iris", "eye_radius", "brow_tilt"):
        mistaken, wrong = ((getattr(x, name) - getattr(own, name)).abs() for x in (decoy, others))
        assert 0.2 < float(mistaken.sum() / wrong.sum()) < 0.6
        assert bool((mistaken <= wrong + 1e-6).all())
    assert set(decoy.glasses.tolist()) == {0.0, 1.0}


def test_a_decoy_is_seen_in_the_pose_of_the_frame():
    own, states = draw_identities(1, seeded(4)), draw_states(3, seeded(5))
    decoys = draw_decoys(own, states, 64, seeded(6))
    alike = draw_decoys(own, states, 64, seeded(6))
    other_poses = draw_decoys(own, draw_states(3, seeded(7)), 64, seeded(6))
    assert decoys.shape == (3, 3, 64, 64) and torch.equal(decoys, alike)
    assert not torch.equal(decoys, other_poses)


def test_records_are_the_same_with_decoys_as_without(folder: Path):
    plain, clips = (load_file(folder / f"{name}.safetensors") for name in ("plain", "clips"))
    assert all(torch.equal(clips[name], value) for name, value in plain.items())
    frames = clips["latents"][:, :17].float()
    decoys = clips["decoys"].float()
    assert decoys.shape == frames.shape
    apart = (decoys - frames).square().mean()
    assert 0 < float(apart) < 0.5 * float((frames[0] - frames[1]).square().mean())


@pytest.mark.parametrize("name", ["clips", "images"])
def test_the_networks_see_the_decoy_and_are_asked_for_the_truth(folder: Path, name: str):
    torch.manual_seed(0)
    networks = build_networks(CONFIG)
    in_a_row = name == "clips"
    batch = draw_batch(dataset(folder, name), 2, CONFIG, in_a_row, seeded(8))
    loss = StageLoss(networks, replace(ONLY_DECOYS, seam_weight=0.0), EVEN)
    seen, motion = [], []
    denoise = "forward" if in_a_row else "forward_images"
    wrapped = getattr(networks.backbone, denoise)
    setattr(networks.backbone, denoise, lambda *given: seen.append(given) or wrapped(*given))
    networks.reference_net.register_forward_hook(lambda _, given, output: motion.append(given[0]))
    terms = loss(batch, seeded(9))
    noisy, timesteps, _ = seen[0]
    level = loss.levels[timesteps].view(-1, 1, 1, 1, 1)
    decoys, truth = batch.decoys.view_as(noisy), batch.latents.view_as(noisy)
    noise = (noisy - level.sqrt() * decoys) / (1 - level).sqrt()
    assert 0.25 < float(noise.std()) < 1 and abs(float(noise.mean())) < 0.05
    # A fresh Backbone predicts no velocity: its error is the velocity from the decoy to the truth.
    asked = (level.sqrt() * noisy - truth).square() / (1 - level)
    asked = asked * ((1 - level) / 0.25).clamp(max=1)
    torch.testing.assert_close(terms["velocity_mse"], asked.mean())
    if in_a_row:
        torch.testing.assert_close(motion[1], batch.motion_decoys.flatten(0, 1))
    terms["loss"].backward()
    assert networks.backbone.conv_out.weight.grad.abs().sum() > 0


def test_decoys_that_are_not_there_are_told(folder: Path):
    batch = draw_batch(dataset(folder, "plain"), 1, CONFIG, True, seeded(0))
    loss = StageLoss(build_networks(CONFIG), ONLY_DECOYS, EVEN)
    with pytest.raises(InputError, match="records without decoys.*write the dataset with --decoys"):
        loss(batch, seeded(1))


def test_more_decoys_and_rolled_batches_than_batches_are_refused():
    with pytest.raises(InputError, match="shares"):
        replace(STAGES["video"], decoy_share=0.6, rolled_share=0.5)
