"""The mouth reader: it learns from records how open, wide and round a mouth is drawn."""

from pathlib import Path

import torch

from comfyui_emo.training.avatars.state import STATE
from comfyui_emo.training.dataset import Records
from comfyui_emo.training.loop import LoopSettings
from comfyui_emo.training.mouth_reader import (
    MOUTH,
    load_mouth_reader,
    mouth_numbers,
    new_mouth_reader,
    train_mouth_reader,
)


@torch.no_grad()
def missed(reader: torch.nn.Module, records: Records) -> float:
    """Share of the mouths' variance that is not read."""
    wanted = mouth_numbers(records.tensors["states"].float()).flatten(0, 1)
    read = reader(records.tensors["latents"].flatten(0, 1).float())
    return float((read - wanted).square().mean() / wanted.var(0, correction=0).mean())


def test_the_numbers_are_those_of_the_mouth():
    states = torch.zeros(2, 3, 14)
    states[..., STATE["open"]], states[..., STATE["round"]], states[..., STATE["yaw"]] = 0.5, 1.0, 9.0
    numbers = mouth_numbers(states)
    assert numbers.shape == (2, 3, len(MOUTH))
    torch.testing.assert_close(numbers / numbers[..., [2]], torch.tensor([0.5, 0.0, 1.0]).expand(2, 3, 3))


def test_it_learns_and_is_loaded_as_it_was_left(records: Records, tmp_path: Path):
    settings = LoopSettings(steps=120, warmup_steps=10, checkpoint_every=60)
    reader = train_mouth_reader(records, tmp_path / "mouth.ckpt", settings, seed=4)
    assert missed(reader, records) < 0.5 * missed(new_mouth_reader(), records)
    loaded = load_mouth_reader(tmp_path / "mouth.ckpt")
    latents = records.tensors["latents"][:, 0].float()
    torch.testing.assert_close(loaded(latents), reader(latents))
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
