"""Where a sampler stands between two clips, so that it can be left and gone on with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from ..models.config import EmoConfig
from .noise import FrameNoise


@dataclass
class SamplerState:
    """Where the sampler stands between two clips; `sample_clips` keeps it up to date.

    Attributes:
        noise: of the clips to come.
        clips_done: clips that are sampled.
        last: latents of the last n frames [1, n, C, h, w]; None before the first clip, or without motion
            frames.
    """

    noise: FrameNoise
    clips_done: int = 0
    last: Tensor | None = None

    @classmethod
    def start(cls, config: EmoConfig, latent_shape: Sequence[int], seed: int) -> "SamplerState":
        """Before the first clip; latent_shape is (C, h, w)."""
        return cls(FrameNoise(config.diffusion.noise_correlation_frames, latent_shape, seed))

    def to_tensors(self) -> dict[str, Tensor]:
        """For a file; `clips_done` is not in it."""
        last = {} if self.last is None else {"last": self.last.cpu()}
        return {**self.noise.state(), **last}

    def set_tensors(self, tensors: Mapping[str, Tensor], clips_done: int) -> None:
        """Go on after so many clips, from what `to_tensors` gave then."""
        self.noise.set_state(tensors)
        self.clips_done, self.last = clips_done, tensors.get("last")
