"""What every training in this folder shares: the rate schedule, the averaged weights, the checkpoint."""

import json
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import InputError
from .orthogonal_momentum import ADAM_BETAS, OrthogonalMomentum

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoopSettings:
    """How long and how fast to train.

    Attributes:
        steps: optimiser steps in all.
        learning_rate: the constant rate between warm-up and decay.
        warmup_steps: steps of linear rise at the start.
        decay_share: share of the steps, at the end, in which the rate falls linearly to 2%.
        ema_decay: decay of the averaged weights (reached gradually).
        weight_decay: of the optimiser.
        orthogonal: whether weight matrices are moved by `OrthogonalMomentum` and not by AdamW.
        gradient_norm: gradients are clipped to this norm.
        checkpoint_every: steps between checkpoints.
        log_every: steps between log lines.
    """

    steps: int
    learning_rate: float = 1.5e-3
    warmup_steps: int = 100
    decay_share: float = 0.3
    ema_decay: float = 0.998
    weight_decay: float = 0.01
    gradient_norm: float = 1.0
    checkpoint_every: int = 250
    log_every: int = 50
    orthogonal: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 <= self.decay_share <= 1:
            raise InputError(
                got=f"steps {self.steps}, decay_share {self.decay_share}",
                allowed="steps of 1 or more and a decay_share in 0..1",
                do="change the training settings",
            )


def learning_rate(step: int, settings: LoopSettings) -> float:
    """Rate of a step counted from 0: linear rise, constant, linear fall to 2%."""
    rise = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    decay_steps = max(1, round(settings.steps * settings.decay_share))
    fall = min(1.0, (settings.steps - step) / decay_steps)
    return settings.learning_rate * rise * max(0.02, fall)


def _optimizer(parameters: list[nn.Parameter], settings: LoopSettings) -> torch.optim.Optimizer:
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.orthogonal:
        return OrthogonalMomentum(parameters, rate, weight_decay=decay)
    return torch.optim.AdamW(parameters, rate, betas=ADAM_BETAS, weight_decay=decay)


def _optimiser_name(orthogonal: bool) -> str:
    return "orthogonal momentum" if orthogonal else "AdamW"


class TrainingRun:
    """Weights, optimiser, averaged weights and position of one training, kept in one checkpoint file.

    The random generator belongs to it, so that a run that was cut goes on as if it had not been.
    """

    def __init__(self, model: nn.Module, settings: LoopSettings, checkpoint: Path, seed: int):
        self.model, self.settings, self.checkpoint = model, settings, checkpoint
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = _optimizer(self.parameters, settings)
        self.generator = torch.Generator().manual_seed(seed)
        self.step = 0
        self.averaged = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self._recent: list[dict[str, float]] = []
        if checkpoint.exists():
            self._load()

    def _load(self) -> None:
        state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        self._refuse_another_optimiser(json.loads(state["settings"]).get("orthogonal", False))
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.averaged = {
            name: value.to(self.averaged[name].device) for name, value in state["averaged"].items()
        }
        self.step = state["step"]
        logger.info("resumed %s at step %d", self.checkpoint, self.step)

    def _refuse_another_optimiser(self, orthogonal: bool) -> None:
        if orthogonal != self.settings.orthogonal:
            made, wanted = (_optimiser_name(which) for which in (orthogonal, self.settings.orthogonal))
            raise InputError(
                got=f"{self.checkpoint}, a checkpoint of {made}, for a training with {wanted}",
                allowed="a checkpoint of the same optimiser",
                do=f"go on with {made}, or start a new checkpoint",
            )

    def save(self) -> None:
        """Write the checkpoint beside its place, then rename: a cut leaves the old one whole."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "averaged": self.averaged,
            "step": self.step,
            "settings": json.dumps(asdict(self.settings)),
        }
        unfinished = self.checkpoint.with_suffix(".unfinished")
        torch.save(state, unfinished)
        unfinished.rename(self.checkpoint)

    def load_averaged_weights(self) -> None:
        """Put the averaged weights into the model."""
        self.model.load_state_dict(self.averaged)

    def run(self, losses: Callable[[torch.Generator], dict[str, Tensor]]) -> None:
        """Train to the last step; `losses` draws a batch and returns its terms, "loss" among them."""
        started, first_step = time.monotonic(), self.step
        while self.step < self.settings.steps:
            terms = losses(self.generator)
            self._optimise(terms["loss"])
            self._recent.append({name: float(value.detach()) for name, value in terms.items()})
            if self.step % self.settings.log_every == 0:
                self._log((time.monotonic() - started) / (self.step - first_step))
            if self.step % self.settings.checkpoint_every == 0 or self.step == self.settings.steps:
                self.save()

    def _optimise(self, loss: Tensor) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.settings)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, self.settings.gradient_norm)
        self.optimizer.step()
        self.step += 1
        decay = min(self.settings.ema_decay, self.step / (self.step + 20))
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                if value.is_floating_point():
                    self.averaged[name].lerp_(value, 1 - decay)
                else:
                    self.averaged[name].copy_(value)

    def _log(self, seconds_per_step: float) -> None:
        means = _means(self._recent)
        self._recent.clear()
        logger.info(
            "step %d of %d, %.2f s a step: %s",
            self.step,
            self.settings.steps,
            seconds_per_step,
            ", ".join(f"{name} {value:.4f}" for name, value in means.items()),
        )


def _means(rows: Iterable[dict[str, float]]) -> dict[str, float]:
    sums: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row.items():
            sums.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in sums.items()}
