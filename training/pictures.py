"""A pool of drawn avatars in single pictures, on disk: what the autoencoder and the detectors learn from."""

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..steps.pixels import to_bytes
from .avatars.identity import draw_identities
from .avatars.renderer import render
from .avatars.state import draw_states

_RENDERED_AT_ONCE = 32


@torch.no_grad()
def draw_pictures(path: Path, count: int, seed: int, size_px: int = 128) -> None:
    """Write `count` pictures of as many different avatars, with their states, to a safetensors file."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.empty(count, 3, size_px, size_px, dtype=torch.uint8)
    states = draw_states(count, generator)
    for first in range(0, count, _RENDERED_AT_ONCE):
        rows = slice(first, min(first + _RENDERED_AT_ONCE, count))
        identities = draw_identities(rows.stop - rows.start, generator)
        pixels[rows] = to_bytes(render(identities, states[rows], size_px))
    save_file({"pixels": pixels, "states": states}, path)


class PicturePool:
    """Pictures read from files written by `draw_pictures`, drawn at random a batch at a time."""

    def __init__(self, paths: list[Path]):
        files = [safe_open(path, framework="pt") for path in paths]
        self.pixels = torch.cat([file.get_tensor("pixels") for file in files])  # [N, 3, S, S] uint8
        self.states = torch.cat([file.get_tensor("states") for file in files])  # [N, 14]

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Pixels [B, 3, S, S] in 0..1 and their states [B, 14]."""
        chosen = torch.randint(len(self.pixels), (count,), generator=generator)
        pixels = (self.pixels[chosen].float() / 255).contiguous(memory_format=torch.channels_last)
        return pixels, self.states[chosen]
