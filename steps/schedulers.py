"""diffusers' schedulers for a model's noise schedule, by short names."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    SchedulerMixin,
    UniPCMultistepScheduler,
)
from torch import Tensor

from ..errors import InputError
from ..models.config import DiffusionConfig

TRAIN_TIMESTEPS = 1000

_SCHEDULERS: dict[str, Callable[..., Any]] = {
    "ddim": lambda **shared: DDIMScheduler(clip_sample=False, **shared),
    "dpm++": lambda **shared: DPMSolverMultistepScheduler(**shared),
    "unipc": lambda **shared: UniPCMultistepScheduler(**shared),
    "euler": lambda **shared: EulerDiscreteScheduler(**shared),
}

SCHEDULER_NAMES = tuple(_SCHEDULERS)


def make_scheduler(name: str, config: DiffusionConfig) -> SchedulerMixin:
    """A scheduler with the model's betas and prediction type, trailing spacing.

    Args:
        name: "ddim" (the paper's), "dpm++", "unipc" or "euler".
        config: the model's noise schedule.

    Raises:
        InputError: if the name is unknown.
    """
    if name not in _SCHEDULERS:
        raise InputError(
            got=f"scheduler {name!r}", allowed=", ".join(SCHEDULER_NAMES), do="choose one of these schedulers"
        )
    return _SCHEDULERS[name](
        num_train_timesteps=TRAIN_TIMESTEPS,
        beta_start=config.beta_start,
        beta_end=config.beta_end,
        beta_schedule=config.beta_schedule,
        prediction_type=config.prediction_type,
        rescale_betas_zero_snr=config.zero_terminal_snr,
        timestep_spacing="trailing",
    )


# What schedulers of several steps remember from one step to the next, by diffusers' names.
_MEMORY = ("model_outputs", "timestep_list", "last_sample", "lower_order_nums", "this_order", "_step_index")


def scheduler_memory(scheduler: Any) -> dict[str, Tensor]:
    """All that a scheduler's next step depends on beside its settings, by name."""
    memory = {}
    for name in _MEMORY:
        value = getattr(scheduler, name, None)
        items = {name: value}
        if isinstance(value, list):
            items = {f"{name}.{place}": item for place, item in enumerate(value)}
        memory |= {key: torch.as_tensor(item) for key, item in items.items() if item is not None}
    return memory


def recall(scheduler: Any, memory: Mapping[str, Tensor]) -> None:
    """Bring a scheduler with its timesteps set to where its `scheduler_memory` was taken."""
    device = scheduler.timesteps.device
    for name in _MEMORY:
        before = getattr(scheduler, name, None)
        if isinstance(before, list):
            items = [memory.get(f"{name}.{place}") for place in range(len(before))]
            setattr(scheduler, name, [None if item is None else item.to(device) for item in items])
        elif name in memory:
            value = memory[name]
            setattr(scheduler, name, value.to(device) if value.ndim else int(value))


def predicted_clean(scheduler: Any, scaled: Tensor, predicted: Tensor, timestep: Tensor) -> Tensor:
    """The latents without noise that a prediction means, for a sample as the network got it (x_in)."""
    level = scheduler.alphas_cumprod[int(timestep)].to(scaled.device)
    signal, spread = level.sqrt(), (1 - level).sqrt()
    if scheduler.config.prediction_type == "v_prediction":
        return signal * scaled - spread * predicted
    return (scaled - spread * predicted) / signal


def signal_after(scheduler: Any, step: int) -> float:
    """What the clean latents are multiplied by in a sample after so many steps, fewer than all."""
    if isinstance(scheduler, EulerDiscreteScheduler):
        return 1.0
    return float(scheduler.alphas_cumprod[int(scheduler.timesteps[step])].sqrt())


def signal_levels(config: DiffusionConfig) -> Tensor:
    """Cumulated alphas [1000] of the model's training: the share of the signal's power at each timestep."""
    return make_scheduler("ddim", config).alphas_cumprod.to(torch.float32)  # type: ignore[attr-defined]
