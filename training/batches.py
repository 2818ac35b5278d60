"""What one step of the trainer sees: records drawn at random, as tensors."""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from ..models.config import EmoConfig
from .avatars.motion import mouth_and_eye_weights
from .dataset import Dataset


@dataclass(frozen=True)
class Batch:
    """One batch of records.

    Attributes:
        latents: targets [B, F, C, h, w].
        reference: portraits [B, C, h, w].
        motion: the motion frames of clips [B, n, C, h, w]; None for images.
        windows: voice windows of the targets [B, F, 2m+1, D].
        boxes: face regions in 0..1, [B, 4] for clips, [B, F, 4] for images.
        weights: of the loss [B, F, 1, h, w].
        speed: head speeds in degrees per frame [B, F].
        states: what was drawn [B, F, 14].
        pixels: the pictures uint8 [B, F, 3, S, S]; None if the records were written without.
        decoys: the targets with a badly remembered face [B, F, C, h, w]; None likewise.
        motion_decoys: the motion frames likewise [B, n, C, h, w].
    """

    latents: Tensor
    reference: Tensor
    motion: Tensor | None
    windows: Tensor
    boxes: Tensor
    weights: Tensor
    speed: Tensor
    states: Tensor
    pixels: Tensor | None
    decoys: Tensor | None
    motion_decoys: Tensor | None

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: value.to(device) for name, value in given.items() if value is not None})

    @property
    def clips(self) -> int:
        """Clips that are denoised together; unrelated images are one each."""
        records, frame_count = self.latents.shape[:2]
        return records if self.motion is not None else records * frame_count


def draw_batch(
    data: Dataset,
    records: int,
    config: EmoConfig,
    in_a_row: bool,
    generator: torch.Generator,
    image_frames: int | None = None,
) -> Batch:
    """Records at random; of clips, F frames in a row with the n before them as motion frames.

    image_frames: frames taken of each record of images; None: all.
    """
    chosen = torch.randint(len(data), (records,), generator=generator)
    tensors = {name: value[chosen] for name, value in data.tensors.items()}
    temporal = config.temporal
    count = temporal.frames_per_clip if in_a_row else image_frames or data.frame_count
    latest = data.frame_count - count
    first = torch.randint(
        temporal.motion_frames if in_a_row else 0, latest + 1, (records,), generator=generator
    )
    rows = torch.arange(records)[:, None]
    frames = first[:, None] + torch.arange(count)  # [B, F]
    latents = tensors["latents"].float()
    reference_count = latents.shape[1] - data.frame_count
    reference = data.frame_count + torch.randint(reference_count, (records,), generator=generator)
    states = tensors["states"].float()[rows, frames]
    side = latents.shape[-1]
    weights = mouth_and_eye_weights(states.flatten(0, 1), side).unflatten(0, (records, count))
    before = first[:, None] - temporal.motion_frames + torch.arange(temporal.motion_frames)
    decoys = tensors["decoys"].float() if "decoys" in tensors else None
    return Batch(
        latents=latents[rows, frames],
        reference=latents[rows[:, 0], reference],
        motion=latents[rows, before] if in_a_row else None,
        windows=data.features.windows(
            tensors["utterances"], tensors["frames"][rows, frames], config.audio.window
        ),
        boxes=tensors["boxes"][:, 0] if in_a_row else tensors["boxes"][rows, frames],
        weights=weights,
        speed=tensors["speed"][rows, frames],
        states=states,
        pixels=tensors["pixels"][rows, frames] if "pixels" in tensors else None,
        decoys=None if decoys is None else decoys[rows, frames],
        motion_decoys=decoys[rows, before] if decoys is not None and in_a_row else None,
    )


def box_masks(boxes: Tensor, size: int) -> Tensor:
    """Boxes [N, 4] in 0..1 -> masks [N, 1, size, size]; the edge cells hold the share that is covered."""
    edges = torch.arange(size + 1, device=boxes.device) / size
    x0, y0, x1, y1 = (side[:, None] for side in boxes.unbind(-1))

    def covered(low: Tensor, high: Tensor) -> Tensor:
        return ((torch.minimum(edges[1:], high) - torch.maximum(edges[:-1], low)) * size).clamp(0, 1)

    return (covered(y0, y1)[:, :, None] * covered(x0, x1)[:, None, :])[:, None]


def as_single_images(batch: Batch) -> Batch:
    """Every frame of unrelated images as a clip of its own [B*F, 1, ...], with its own region."""
    return replace(
        batch,
        latents=batch.latents.flatten(0, 1)[:, None],
        windows=batch.windows.flatten(0, 1)[:, None],
        boxes=batch.boxes.flatten(0, 1),
        weights=batch.weights.flatten(0, 1)[:, None],
        speed=batch.speed.flatten(0, 1)[:, None],
    )
