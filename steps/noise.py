"""The noise that clips start from: white in space, alike over neighbouring frames, across clips too.

The paper is silent on it. White noise of its own for every frame makes everything that the voice does not
decide (gaze, pose, the edge of a fringe) jump from frame to frame in a small model; noise that changes slowly
over the frames lets it change slowly. Each frame's noise stays standard normal.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..models.config import LoopConfig


def noise_kernel(correlation_frames: float) -> Tensor:
    """Weights [2K+1] of a Gaussian over frames, of unit norm; one weight where noise is white (0)."""
    if correlation_frames == 0:
        return torch.ones(1)
    reach = math.ceil(3 * correlation_frames)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / correlation_frames) ** 2)
    return kernel / kernel.norm()


def correlate_noise(white: Tensor, kernel: Tensor) -> Tensor:
    """White noise [B, F + 2K, C, h, w] -> noise [B, F, C, h, w] that is alike over neighbouring frames."""
    frame_count = white.shape[1] - len(kernel) + 1
    spread = torch.zeros(frame_count, white.shape[1])
    for frame in range(frame_count):
        spread[frame, frame : frame + len(kernel)] = kernel
    return torch.einsum("fg,bgchw->bfchw", spread.to(white), white)


class FrameNoise:
    """Noise of successive clips from one seed: the same whatever the clip length, drawn on the CPU.

    Attributes:
        white: the white noise that the next clip shares with the last [1, 2K, C, h, w].
        generator: the source of what comes next.
    """

    def __init__(self, correlation_frames: float, shape: Sequence[int], seed: int):
        self.kernel = noise_kernel(correlation_frames)
        self.shape = tuple(shape)
        self.generator = torch.Generator().manual_seed(seed)
        self.white = self._draw(len(self.kernel) - 1)

    def state(self) -> dict[str, Tensor]:
        """All that the next noise depends on, by name."""
        return {"noise_white": self.white, "noise_generator": self.generator.get_state()}

    def set_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state` of noise of the same shape and correlation."""
        self.white = state["noise_white"]
        self.generator.set_state(state["noise_generator"])

    def next(self, frame_count: int) -> Tensor:
        """Noise of the next `frame_count` frames [1, F, C, h, w]."""
        white = torch.cat([self.white, self._draw(frame_count)], dim=1)
        self.white = white[:, frame_count:].clone()
        return correlate_noise(white, self.kernel)

    def _draw(self, frame_count: int) -> Tensor:
        frames = [torch.randn(self.shape, generator=self.generator) for _ in range(frame_count)]
        return torch.stack(frames)[None] if frames else torch.empty(1, 0, *self.shape)


class WhiteNoise:
    """White noise of successive clips from one seed, each drawn by `clip_noise`.

    Attributes:
        generator: the source of what comes next.
    """

    def __init__(self, loop: LoopConfig, shape: Sequence[int], seed: int):
        self.loop, self.shape = loop, tuple(shape)
        self.generator = torch.Generator().manual_seed(seed)

    def state(self) -> dict[str, Tensor]:
        """All that the next noise depends on, by name."""
        return {"noise_generator": self.generator.get_state()}

    def set_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state` of noise of the same shape."""
        self.generator.set_state(state["noise_generator"])

    def next(self, frame_count: int) -> Tensor:
        """Noise of the next `frame_count` frames [1, F, C, h, w]."""
        return clip_noise(self.generator, frame_count, self.shape, self.loop)


def clip_noise(
    generator: torch.Generator, frame_count: int, shape: tuple[int, ...], loop: LoopConfig
) -> Tensor:
    """White noise [1, F, C, h, w] of a clip or of a whole windowed video, drawn on the CPU.

    Values are drawn channel by channel, each over all frames, as every public sampler of this skeleton does,
    so that a seed means the same here; `shape` is (C, h, w).
    """
    channels, height, width = shape
    torch.rand(loop.noise_skip, generator=generator)
    noise = torch.randn(1, channels, frame_count, height, width, generator=generator)
    if loop.noise_limit is not None:
        noise = noise.clamp(-loop.noise_limit, loop.noise_limit)
    return noise.transpose(1, 2)
