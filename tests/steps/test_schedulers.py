"""What schedulers remember from step to step, through a file."""

from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from comfyui_emo.models.config import DiffusionConfig
from comfyui_emo.steps.schedulers import SCHEDULER_NAMES, make_scheduler, recall, scheduler_memory

STEPS = 6


def fresh(name: str) -> Any:
    scheduler: Any = make_scheduler(name, DiffusionConfig())
    scheduler.set_timesteps(STEPS)
    return scheduler


def walk(scheduler, x: torch.Tensor, first: int, end: int) -> torch.Tensor:
    """From one step to another, with a prediction that stands for the networks'."""
    for t in scheduler.timesteps[first:end]:
        predicted = torch.sin(3 * scheduler.scale_model_input(x, t))
        x = scheduler.step(predicted, t, x).prev_sample
    return x


@pytest.mark.parametrize("stop", [1, 3, 5])
@pytest.mark.parametrize("name", SCHEDULER_NAMES)
def test_a_scheduler_goes_on_from_its_memory_as_if_never_stopped(name, stop):
    noise = torch.randn(1, 2, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    scheduler = fresh(name)
    noise = noise * scheduler.init_noise_sigma
    whole = walk(scheduler, noise, 0, STEPS)
    stopped, other = fresh(name), fresh(name)
    half_way = walk(stopped, noise, 0, stop)
    recall(other, load(save(scheduler_memory(stopped))))
    assert torch.equal(walk(other, half_way, stop, STEPS), whole)
