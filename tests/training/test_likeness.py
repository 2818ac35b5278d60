"""Likeness and mouth: predicted avatars are held to the true ones by what readers read of both."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from seeded import seeded
from tone_corpus import write_silent_features

from comfyui_emo.errors import InputError
from comfyui_emo.models.avatar import avatar_config
from comfyui_emo.models.build import build_networks
from comfyui_emo.training.batches import draw_batch
from comfyui_emo.training.dataset import Dataset, VoiceFeatureTable
from comfyui_emo.training.mouth_reader import new_mouth_reader
from comfyui_emo.training.stage_loss import StageLoss
from comfyui_emo.training.stages import STAGES

CONFIG = avatar_config()
CHANNELS = CONFIG.spatial.latent_channels
EVEN = torch.ones(CHANNELS)
RECORDS, FRAMES = 4, 3
READERS = {"likeness_weight": "missed_by_appearance_encoder", "mouth_weight": "missed_by_mouth_reader"}
each_reader = pytest.mark.parametrize("weight", READERS)


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Dataset:
    """Image records of latents without a picture."""
    folder = tmp_path_factory.mktemp("images")
    write_silent_features(folder / "features.safetensors")
    states = torch.zeros(RECORDS, FRAMES + 1, 14)
    states[..., 13] = 1.1
    tensors = {
        "latents": torch.randn(RECORDS, FRAMES + 1, CHANNELS, 16, 16, generator=seeded(0)).half(),
        "states": states.half(),
        "utterances": torch.zeros(RECORDS, dtype=torch.int64),
        "frames": torch.arange(FRAMES)[None].repeat(RECORDS, 1),
        "speed": torch.zeros(RECORDS, FRAMES),
        "boxes": torch.tensor([0.2, 0.1, 0.8, 0.9]).expand(RECORDS, FRAMES, 4).contiguous(),
    }
    save_file(tensors, folder / "images.safetensors")
    return Dataset([folder / "images.safetensors"], VoiceFeatureTable(folder / "features.safetensors"))


def terms_of(images: Dataset, answers_truth: bool = False, **weights: float) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    networks, reader = build_networks(CONFIG), new_mouth_reader()
    batch = draw_batch(images, RECORDS, CONFIG, False, seeded(1))
    loss = StageLoss(networks, replace(STAGES["image"], **weights), EVEN, reader)
    if answers_truth:
        truth = batch.latents.flatten(0, 1)[:, None]

        def true_velocity(noisy, timesteps, _):
            level = loss.levels[timesteps].view(-1, 1, 1, 1, 1)
            return (level.sqrt() * noisy - truth) / (1 - level).sqrt()

        setattr(networks.backbone, "forward_images", true_velocity)  # noqa: B010
    return loss(batch, seeded(2))


@each_reader
def test_the_true_picture_misses_nothing_and_another_does(images: Dataset, weight: str):
    of_truth = terms_of(images, answers_truth=True, **{weight: 1.0})[READERS[weight]]
    of_another = terms_of(images, **{weight: 1.0})[READERS[weight]]
    assert 0 <= float(of_truth) < 0.02 * float(of_another)


@each_reader
def test_the_loss_counts_it_by_its_weight(images: Dataset, weight: str):
    without, with_it = terms_of(images), terms_of(images, **{weight: 3.0})
    assert READERS[weight] not in without
    torch.testing.assert_close(with_it["loss"], without["loss"] + 3 * with_it[READERS[weight]])


@each_reader
def test_it_teaches_the_backbone_and_leaves_the_readers_as_they_are(images: Dataset, weight: str):
    torch.manual_seed(0)
    networks, reader = build_networks(CONFIG), new_mouth_reader().requires_grad_(False)
    for name, parameter in networks.named_parameters():
        parameter.requires_grad_(STAGES["video"].trains(name))
    stage = replace(STAGES["image"], **{weight: 1.0})
    batch = draw_batch(images, RECORDS, CONFIG, False, seeded(1))
    StageLoss(networks, stage, 0 * EVEN, reader)(batch, seeded(2))["loss"].backward()
    assert networks.backbone.conv_out.weight.grad.abs().sum() > 0
    readers = (*networks.reference_net.appearance.parameters(), *reader.parameters())
    assert all(parameter.grad is None for parameter in readers)


def test_the_mouth_counts_before_anything_is_seen_and_likeness_does_not(images: Dataset, monkeypatch):
    pure_noise = len(StageLoss(build_networks(CONFIG), STAGES["image"], EVEN).levels) - 1
    monkeypatch.setattr(
        "comfyui_emo.training.stage_loss.draw_timesteps",
        lambda count, *_: torch.full((count,), pure_noise),
    )
    terms = terms_of(images, likeness_weight=1.0, mouth_weight=1.0)
    assert float(terms["missed_by_appearance_encoder"]) < 1e-9 < 1e-6 < float(terms["missed_by_mouth_reader"])


@pytest.mark.parametrize(
    ("weight", "missing"), [("likeness_weight", "no appearance encoder"), ("mouth_weight", "no mouth reader")]
)
def test_a_loss_without_the_reader_it_needs_is_refused(images: Dataset, weight: str, missing: str):
    networks = build_networks(replace(CONFIG, appearance=None))
    loss = StageLoss(networks, replace(STAGES["image"], **{weight: 0.5}), EVEN)
    with pytest.raises(InputError, match=missing):
        loss(draw_batch(images, 1, CONFIG, False, seeded(0)), seeded(1))


def test_fewer_frames_of_more_records_are_drawn_with_what_belongs_to_them(images: Dataset):
    batch = draw_batch(images, 16, CONFIG, False, seeded(3), image_frames=1)
    assert batch.latents.shape == (16, 1, CHANNELS, 16, 16) and batch.boxes.shape == (16, 1, 4)
    every = images.tensors["latents"].float()
    drawn = {int((every - one).square().sum((2, 3, 4)).argmin()) for one in batch.latents}
    assert {place % (FRAMES + 1) for place in drawn} == set(range(FRAMES))  # all frames, never the portrait
