"""What the trainings of small readers of latents share: of the appearance's code, and of the mouth."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .loop import LoopSettings

PICTURES_A_STEP = 96


def reader_settings(steps: int) -> LoopSettings:
    """How the readers of the bundled model were trained; it falls long and decays much, for they overfit."""
    return LoopSettings(steps, decay_share=0.8, weight_decay=0.02)


def reading_loss(
    reader: nn.Module,
    latents: Tensor,
    wanted: Callable[[Tensor, Tensor], Tensor],
    noise_level: Callable[[torch.Generator], Tensor | float],
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """The squared error of what is read of pictures drawn at random from latents [N, P, C, h, w].

    Args:
        reader: latents [B, C, h, w] -> numbers [B, W].
        wanted: the true numbers [B, W] of avatars [B] in their pictures [B].
        noise_level: draws how much noise the latents get, in their deviations: [B, 1, 1, 1] or one for all.
    """
    avatars = torch.randint(len(latents), (PICTURES_A_STEP,), generator=generator)
    pictures = torch.randint(latents.shape[1], (PICTURES_A_STEP,), generator=generator)
    seen = latents[avatars, pictures].float()
    seen = seen + noise_level(generator) * torch.randn(seen.shape, generator=generator)
    with torch.autocast("cpu", torch.bfloat16):
        read = reader(seen.contiguous(memory_format=torch.channels_last))
    return {"loss": F.mse_loss(read.float(), wanted(avatars, pictures))}
