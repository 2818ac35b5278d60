"""The trainer's batches, regions and stages."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from comfyui_emo.models.avatar import avatar_config
from comfyui_emo.models.build import build_networks
from comfyui_emo.training.batches import box_masks, draw_batch
from comfyui_emo.training.dataset import Dataset, VoiceFeatureTable
from comfyui_emo.training.loop import LoopSettings
from comfyui_emo.training.stage_loss import StageLoss, draw_timesteps, seam_weights
from comfyui_emo.training.stages import STAGES, freeze_for
from comfyui_emo.training.trainer import compile_networks, train_stage

CONFIG = avatar_config()
RECORDS = 3
CHANNELS = CONFIG.spatial.latent_channels
EVEN = torch.ones(CHANNELS)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> dict[str, Dataset]:
    """Records whose latents hold their own frame number, and features theirs."""
    folder = tmp_path_factory.mktemp("data")
    width = CONFIG.audio.feature_width
    features = torch.arange(200.0)[:, None].expand(200, width).half().contiguous()
    save_file({"features": features, "offsets": torch.tensor([0, 100, 200])}, folder / "features.safetensors")
    table = VoiceFeatureTable(folder / "features.safetensors")
    datasets = {}
    for name, frames, references in (("images", 4, 1), ("clips", 24, 2)):
        count = frames + references
        numbers = torch.arange(count).half()[None, :, None, None, None]
        numbers = numbers.expand(RECORDS, count, CHANNELS, 16, 16)
        states = torch.zeros(RECORDS, count, 14)
        states[..., 13] = 1.1
        tensors = {
            "latents": numbers.contiguous(),
            "states": states.half(),
            "utterances": torch.tensor([0, 1, 1]),
            "frames": torch.arange(10, 10 + frames)[None].repeat(RECORDS, 1),
            "speed": torch.full((RECORDS, frames), 0.5),
            "boxes": torch.tensor([0.2, 0.1, 0.8, 0.9]).expand(RECORDS, frames, 4).contiguous(),
        }
        save_file(tensors, folder / f"{name}.safetensors")
        datasets[name] = Dataset([folder / f"{name}.safetensors"], table)
    return datasets


def test_motion_frames_are_the_ones_right_before_the_clip(data):
    batch = draw_batch(data["clips"], 8, CONFIG, True, torch.Generator().manual_seed(0))
    numbers = batch.latents[:, :, 0, 0, 0]
    motion = batch.motion[:, :, 0, 0, 0]
    assert batch.latents.shape == (8, 12, CHANNELS, 16, 16)
    assert torch.equal(numbers.diff(dim=1), torch.ones(8, 11))
    torch.testing.assert_close(motion, numbers[:, :1] + torch.tensor([-4.0, -3.0, -2.0, -1.0]))


def test_every_frame_hears_its_own_moment(data):
    batch = draw_batch(data["clips"], 8, CONFIG, True, torch.Generator().manual_seed(0))
    moments = batch.windows[:, :, CONFIG.audio.window, 0] % 100
    torch.testing.assert_close(moments, batch.latents[:, :, 0, 0, 0] + 10)


def test_references_are_never_targets(data):
    batch = draw_batch(data["clips"], 16, CONFIG, True, torch.Generator().manual_seed(0))
    assert set(batch.reference[:, 0, 0, 0].tolist()) == {24.0, 25.0}


def test_windows_stay_within_their_utterance(data):
    windows = data["clips"].features.windows(torch.tensor([1]), torch.tensor([[0, 99]]), 2)[0, :, :, 0]
    assert windows.tolist() == [[100, 100, 100, 101, 102], [197, 198, 199, 199, 199]]


def test_a_box_becomes_its_share_of_every_cell():
    mask = box_masks(torch.tensor([[0.25, 0.0, 0.625, 0.5]]), 4)[0, 0]
    assert mask.tolist() == [[0, 1, 0.5, 0], [0, 1, 0.5, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_each_stage_trains_what_the_paper_says():
    networks = build_networks(CONFIG)

    def trained(stage: str) -> set[str]:
        freeze_for(STAGES[stage], networks)
        return {name for name, parameter in networks.named_parameters() if parameter.requires_grad}

    image, video, speed = trained("image"), trained("video"), trained("speed")
    assert not any(".motion_modules." in name for name in image)
    assert any("face_locator" in name for name in image) and any("reference_net" in name for name in image)
    assert any(".motion_modules." in name for name in video - image)
    assert all(".motion_modules." in name for name in speed)
    assert any(".speed." in name for name in speed) and not any(".audio." in name for name in speed)


@pytest.mark.parametrize(
    ("stage", "orthogonal"), [("image", False), ("video", False), ("video", True), ("speed", False)]
)
def test_a_stage_changes_its_own_parameters_only(stage, orthogonal, data, tmp_path):
    torch.manual_seed(0)
    networks = build_networks(CONFIG)
    for parameter in networks.backbone.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    before = {name: value.clone() for name, value in networks.named_parameters()}
    clips = None if stage == "image" else data["clips"]
    settings = LoopSettings(1, learning_rate=0.01, warmup_steps=1, ema_decay=0.0, orthogonal=orthogonal)
    train_stage(
        networks, STAGES[stage], data["images"], clips, EVEN, tmp_path / "stage.ckpt", settings, seed=3
    )
    changed = {name for name, value in networks.named_parameters() if not torch.equal(value, before[name])}
    assert changed
    assert all(STAGES[stage].trains(name) for name in changed)


def test_timesteps_come_mostly_from_the_middle_but_from_everywhere():
    generator = torch.Generator().manual_seed(0)
    mixed = draw_timesteps(20_000, 1000, 0.7, 0.3, generator)
    assert mixed.min() >= 0 and mixed.max() <= 999
    middle = ((mixed >= 300) & (mixed < 700)).float().mean()
    # logit-normal around 0.3: P(0.3 < t < 0.7) = P(-1.147 < z < 0.547) = 0.582; even: 0.4
    assert float(middle) == pytest.approx(0.7 * 0.582 + 0.3 * 0.4, abs=0.015)
    assert float((mixed >= 990).float().mean()) > 0.002
    even = draw_timesteps(20_000, 1000, 0.0, 0.3, generator)
    assert float((even < 100).float().mean()) == pytest.approx(0.1, abs=0.01)


def test_a_clip_counts_most_where_it_goes_on_from_its_motion_frames():
    weights = seam_weights(12, 2.0)
    assert float(weights[0]) == 3 and float(weights[-1]) == pytest.approx(1, abs=2e-3)
    assert (weights.diff() < 0).all()


def test_a_channel_of_no_weight_teaches_nothing(data):
    torch.manual_seed(0)
    networks = build_networks(CONFIG)
    head = networks.backbone.conv_out
    torch.nn.init.normal_(head.weight, std=0.05)
    weights = torch.ones(CHANNELS)
    weights[[1, 7]] = 0
    generator = torch.Generator().manual_seed(0)
    batch = draw_batch(data["images"], 2, CONFIG, False, generator)
    StageLoss(networks, STAGES["image"], weights)(batch, generator)["loss"].backward()
    taught = head.weight.grad.flatten(1).abs().sum(1) > 0  # [C]
    assert (~taught).nonzero().flatten().tolist() == [1, 7]


def test_compiling_is_asked_for_what_takes_the_time_of_a_step(monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda forward, dynamic: compiled.append(forward) or forward)
    networks = build_networks(CONFIG)
    names = set(networks.state_dict())
    compile_networks(networks)
    owners = [(type(forward.__self__).__name__, forward.__name__) for forward in compiled]
    assert owners == [("Backbone", "forward"), ("Backbone", "forward_images"), ("ReferenceNet", "forward")]
    assert set(networks.state_dict()) == names


def test_a_rolled_batch_teaches_from_where_the_networks_own_step_arrives(data):
    torch.manual_seed(0)
    networks = build_networks(CONFIG)
    loss = StageLoss(networks, replace(STAGES["video"], rolled_share=1.0), EVEN)
    batch = draw_batch(data["clips"], 2, CONFIG, True, torch.Generator().manual_seed(1))
    seen = []
    networks.backbone.register_forward_hook(lambda _, inputs, output: seen.append((inputs, output)))
    terms = loss(batch, torch.Generator().manual_seed(2))
    frames = [inputs[0].shape[1] for inputs, _ in seen]
    assert frames == [CONFIG.temporal.motion_frames, 12, 12]  # motion frames, the step, where it arrives
    (_, start, _), (noisy, end, _) = seen[1][0], seen[2][0]
    assert bool((end < start).all())
    # A fresh Backbone predicts no velocity at all, so what it takes for clean are its noisy latents.
    level, next_level = (loss.levels[t].view(-1, 1, 1, 1, 1) for t in (start, end))
    kept = (next_level * level).sqrt() + ((1 - next_level) * (1 - level)).sqrt()
    torch.testing.assert_close(noisy, kept * seen[1][0][0])
    terms["loss"].backward()
    assert networks.backbone.conv_out.weight.grad.abs().sum() > 0
