"""Where a sampler stands between two clips, or two steps, so that it can be left and gone on with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from ..models.config import EmoConfig
from .noise import FrameNoise, WhiteNoise

_SCHEDULER = "scheduler."


class RunState(Protocol):
    """What a work folder asks of the state of a run.

    Attributes:
        clips_done: clips that have been handed out.
    """

    clips_done: int

    def to_tensors(self) -> dict[str, Tensor]:
        """For a file; `clips_done` is not in it."""
        ...

    def set_tensors(self, tensors: Mapping[str, Tensor], clips_done: int) -> None:
        """Go on after so many clips, from what `to_tensors` gave then."""
        ...


@dataclass
class SamplerState:
    """Where the sampler stands between two clips, each of which starts from the one before.

    Attributes:
        noise: of the clips to come.
        clips_done: clips that are sampled.
        last: latents of the last n frames [1, n, C, h, w], with the one before them where it is known; None
            before the first clip.
        last_noise: that the last of them started from [1, 1, C, h, w]; None before the first clip.
    """

    noise: FrameNoise | WhiteNoise
    clips_done: int = 0
    last: Tensor | None = None
    last_noise: Tensor | None = None

    @classmethod
    def start(cls, config: EmoConfig, latent_shape: Sequence[int], seed: int) -> "SamplerState":
        """Before the first clip of a model of this project; latent_shape is (C, h, w)."""
        return cls(FrameNoise(config.diffusion.noise_correlation_frames, latent_shape, seed))

    def to_tensors(self) -> dict[str, Tensor]:
        """For a file; `clips_done` is not in it."""
        held = {"last": self.last, "last_noise": self.last_noise}
        known = {name: value.cpu() for name, value in held.items() if value is not None}
        return {**self.noise.state(), **known}

    def set_tensors(self, tensors: Mapping[str, Tensor], clips_done: int) -> None:
        """Go on after so many clips, from what `to_tensors` gave then."""
        self.noise.set_state(tensors)
        self.clips_done = clips_done
        self.last, self.last_noise = tensors.get("last"), tensors.get("last_noise")


@dataclass
class WindowedState:
    """Where a loop stands that denoises the whole video together, in overlapping windows.

    Attributes:
        steps_done: denoising steps that are done.
        latents: of all generated frames after them [1, N, C, h, w]; None before the first.
        scheduler: what the scheduler remembers of them, see `scheduler_memory`.
        clips_done: clips that have been handed out once all steps were done.
    """

    steps_done: int = 0
    latents: Tensor | None = None
    scheduler: dict[str, Tensor] = field(default_factory=dict)
    clips_done: int = 0

    def to_tensors(self) -> dict[str, Tensor]:
        """For a file; `clips_done` is not in it."""
        held = {} if self.latents is None else {"latents": self.latents.cpu()}
        memory = {_SCHEDULER + name: value.cpu() for name, value in self.scheduler.items()}
        return {"steps_done": torch.tensor(self.steps_done), **held, **memory}

    def set_tensors(self, tensors: Mapping[str, Tensor], clips_done: int) -> None:
        """Go on after so many clips, from what `to_tensors` gave then."""
        self.clips_done, self.steps_done = clips_done, int(tensors["steps_done"])
        self.latents = tensors.get("latents")
        self.scheduler = {
            name.removeprefix(_SCHEDULER): value
            for name, value in tensors.items()
            if name.startswith(_SCHEDULER)
        }
