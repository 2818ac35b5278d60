"""The appearance encoder: it reads who is seen, whatever the pose, and its checkpoint fits the networks."""

from pathlib import Path

import torch
from seeded import seeded

from comfyui_emo.models.appearance import AppearanceEncoder
from comfyui_emo.models.avatar import AVATAR_APPEARANCE, avatar_config
from comfyui_emo.models.build import build_networks
from comfyui_emo.training.appearance_training import share_read, train_appearance
from comfyui_emo.training.avatars.identity import draw_identities, identity_codes
from comfyui_emo.training.dataset import Records
from comfyui_emo.training.loop import LoopSettings
from comfyui_emo.training.trainer import load_parts

SETTINGS = LoopSettings(steps=120, warmup_steps=10, checkpoint_every=60)


def test_codes_are_of_unit_size_and_leave_background_and_clothes_out():
    avatars, others = draw_identities(512, seeded(1)), draw_identities(512, seeded(2))
    codes = identity_codes(avatars)
    assert codes.shape == (512, AVATAR_APPEARANCE.width)
    assert float(codes.mean(0).abs().max()) < 0.2 and float((codes.std(0) - 1).abs().max()) < 0.2
    torch.testing.assert_close(identity_codes(avatars.with_background_and_clothes_of(others)), codes)
    torch.testing.assert_close(identity_codes(avatars.select([5])), codes[5:6])


def test_records_carry_the_code_of_their_avatar(records: Records):
    codes = records.tensors["codes"]
    assert codes.shape == (24, AVATAR_APPEARANCE.width) and float(codes.std()) > 0.7


def test_the_encoder_learns_who_is_seen_in_any_pose_and_fits_the_networks(records: Records, tmp_path: Path):
    checkpoint = tmp_path / "appearance.ckpt"
    torch.manual_seed(0)
    fresh = AppearanceEncoder(16, AVATAR_APPEARANCE)
    encoder = train_appearance(records, AVATAR_APPEARANCE, checkpoint, SETTINGS, seed=4)
    assert float(share_read(fresh, records).mean()) < 0.05
    assert float(share_read(encoder, records).mean()) > 0.5
    networks = build_networks(avatar_config())
    before = networks.backbone.conv_in.weight.clone()
    load_parts(networks, checkpoint)
    latents = records.tensors["latents"][:3, 0].float()
    features = networks.reference_net(latents)
    torch.testing.assert_close(features[0].appearance, encoder(latents), rtol=1e-3, atol=1e-3)
    assert torch.equal(networks.backbone.conv_in.weight, before)


def test_the_share_read_is_one_for_the_truth_and_nought_for_the_mean(records: Records):
    def read(of_codes):
        return lambda latents: of_codes.repeat_interleave(records.tensors["latents"].shape[1], 0)

    codes = records.tensors["codes"]
    torch.testing.assert_close(share_read(read(codes), records), torch.ones(AVATAR_APPEARANCE.width))
    mean = codes.mean(0).expand_as(codes)
    assert float(share_read(read(mean), records).abs().max()) < 1e-5
