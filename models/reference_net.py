"""The ReferenceNet (paper, section 3.2): what the portrait and the motion frames look like, site by site."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .config import EmoConfig
from .skeleton import Skeleton


@dataclass(frozen=True)
class SiteFeatures:
    """What the ReferenceNet leaves at one site.

    Attributes:
        reference: normalised output of the self-attention [B, h*w, C], which the Backbone's
            reference-attention reads; None on a level without attention.
        output: output of the site [B, C, h, w], which the temporal modules read of motion frames.
    """

    reference: Tensor | None
    output: Tensor

    def to(self, target: torch.device | torch.dtype) -> "SiteFeatures":
        """The same on a device, or in a dtype."""
        return SiteFeatures(
            None if self.reference is None else self.reference.to(target), self.output.to(target)
        )


class ReferenceNet(Skeleton):
    """The Backbone's skeleton without temporal modules and without what comes after the last site read.

    It runs at timestep 0, once per clip for the motion frames and once per portrait.
    """

    def __init__(self, config: EmoConfig):
        super().__init__(config, reads=False)

    def forward(self, latents: Tensor) -> tuple[SiteFeatures, ...]:
        """Latents of pictures [B, C, h, w] -> the features of every site."""
        transformers = self.transformers
        features: list[SiteFeatures] = []

        def visit(site: int, hidden: Tensor) -> Tensor:
            reference = None
            transformer = transformers[site]
            if transformer is not None:
                hidden, reference = transformer.write(hidden)
            features.append(SiteFeatures(reference, hidden))
            return hidden

        time = self.time_embedding(torch.zeros(1, device=latents.device))
        self.walk(self.conv_in(latents.to(self.dtype)), time, visit)
        return tuple(features)
