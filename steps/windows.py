"""Overlapping windows over the frames of a long video, all of which are denoised together."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from ..models.build import EmoNetworks
from ..models.config import LoopConfig
from .guidance import Halves
from .sampler_state import WindowedState
from .sampling import OnStep, no_step
from .schedulers import predicted_clean, recall, scheduler_memory

Keep = Callable[[WindowedState], object]
"""Given the state after every step; stores it, or does nothing."""


def keep_nothing(_: WindowedState) -> None:
    """For runs that are not gone on with."""


def frame_windows(frame_count: int, window: int, loop: LoopConfig, step: int) -> list[list[int]]:
    """Frame numbers of each window at a denoising step (from 0).

    Closed windows start every `window - overlap` frames before the end and wrap to the start of the video;
    they move on by the loop's `rotation_frames` at each step. A video of no more than one window is one
    window. Open windows need `whole_windows(...)` frames.
    """
    stride = window - loop.overlap_frames
    if not loop.closed:
        return [list(range(first, first + window)) for first in range(0, frame_count - window + 1, stride)]
    shift = step * loop.rotation_frames
    if frame_count <= window:
        return [[(frame + shift) % frame_count for frame in range(frame_count)]]
    return [
        [(first + offset + shift) % frame_count for offset in range(window)]
        for first in range(0, frame_count, stride)
    ]


def whole_windows(frame_count: int, window: int, loop: LoopConfig) -> int:
    """The fewest frames, at least `frame_count`, that the loop's windows cover exactly."""
    if loop.closed:
        return frame_count
    stride = window - loop.overlap_frames
    return window + max(0, -(-(frame_count - window) // stride)) * stride


class WindowedConditions:
    """The conditions of a long video, given out window by window.

    Attributes:
        networks: the model's.
        halves: what both halves read in every window.
        voice_tokens: of all frames [1, N, T, W]; None for a model that hears nothing.
        face: the locator's output for all frames [1, 1, C, h, w]; None: none, or one for each frame.
        drawings: what the locator reads of each frame [1, N, c, H, W]; None: one for all, or none.
    """

    def __init__(
        self, networks: EmoNetworks, halves: Halves, voice_tokens: Tensor | None, mask: Tensor | None
    ):
        self.networks = networks
        self.halves = halves
        self.voice_tokens = voice_tokens
        each = mask is not None and mask.ndim == 5 and mask.shape[1] > 1
        self.drawings = mask if each else None
        self.face = None if mask is None or each else networks.backbone.locate(mask)

    def of(self, frames: list[int]) -> Halves:
        """The conditions of these frames."""
        backbone = self.networks.backbone
        tokens = None if self.voice_tokens is None else self.voice_tokens[:, frames]
        face = self.face if self.drawings is None else self._locate(self.drawings[:, frames])
        conditional = backbone.hear(self.halves.conditional, tokens, face)
        unconditional = self.halves.unconditional
        if unconditional is not None and self.networks.config.locator.guides:
            unconditional = backbone.hear(unconditional, None, face)
        return Halves(conditional, unconditional)

    def _locate(self, drawings: Tensor) -> Tensor:
        """The locator's output for a window: of all frames it would take more memory than it saves time."""
        backbone = self.networks.backbone
        like = backbone.conv_in.weight
        if drawings.dtype == torch.uint8:
            return backbone.locate(drawings.to(like.device).to(like.dtype) / 255)
        return backbone.locate(drawings.to(like))


@torch.inference_mode()
def denoise_windows(
    conditions: WindowedConditions,
    noise: Tensor,
    scheduler: Any,
    guidance: float,
    on_step: OnStep = no_step,
    state: WindowedState | None = None,
    keep: Keep = keep_nothing,
) -> Tensor:
    """From noise [1, N, C, h, w] to the latents of the whole video, of the same shape.

    Where windows overlap, their predictions are averaged; one step of the scheduler serves all frames.

    Args:
        conditions: of the video.
        noise: of all its frames.
        scheduler: with its timesteps set.
        guidance: scale; 1 leaves the unconditional half out.
        on_step: told of every step.
        state: where to go on; brought up to date after every step.
        keep: given the state then, before `on_step` is told.

    Raises:
        InputError: so many frames are not covered by whole windows.
    """
    networks = conditions.networks
    window, loop = networks.config.temporal.frames_per_clip, networks.config.loop
    count = noise.shape[1]
    if count != whole_windows(count, window, loop):
        raise InputError(
            got=f"{count} frames",
            allowed=f"whole windows of {window} frames that share {loop.overlap_frames}",
            do=f"give {whole_windows(count, window, loop)} frames and cut the rest",
        )
    state = state or WindowedState()
    # One layout, so that what is computed of it is the same after a way through a file.
    start = noise * scheduler.init_noise_sigma if state.latents is None else state.latents.to(noise)
    x = start.contiguous()
    recall(scheduler, state.scheduler)
    for step, t in enumerate(scheduler.timesteps):
        if step < state.steps_done:
            continue
        x_in = scheduler.scale_model_input(x, t)
        total, hits = torch.zeros_like(x), x.new_zeros(count)
        for frames in frame_windows(count, window, loop, step):
            halves = conditions.of(frames)
            total[:, frames] += halves.predict(networks.backbone, x_in[:, frames], t, guidance)
            hits[frames] += 1
        v = total / hits[:, None, None, None]
        x = scheduler.step(v, t, x).prev_sample.contiguous()
        state.steps_done, state.latents, state.scheduler = step + 1, x, scheduler_memory(scheduler)
        keep(state)
        on_step(step + 1, predicted_clean(scheduler, x_in, v, t))
    return x
