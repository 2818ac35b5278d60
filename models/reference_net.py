"""The ReferenceNet (paper, section 3.2): what the portrait and the motion frames look like, site by site."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .appearance import AppearanceEncoder
from .config import EmoConfig
from .skeleton import Skeleton


@dataclass(frozen=True)
class SiteFeatures:
    """What the ReferenceNet leaves at one site.

    Attributes:
        reference: features [B, h*w, C] that the Backbone's reference-attention reads; None on a level
            without attention.
        output: output of the site [B, C, h, w].
        appearance: the picture's code [B, W], alike for all sites; None: the model has none.
    """

    reference: Tensor | None
    output: Tensor
    appearance: Tensor | None = None

    def reference_map(self) -> Tensor:
        """The reference features as a map [B, C, h, w]; on a level without attention, the output."""
        if self.reference is None:
            return self.output
        return self.reference.transpose(1, 2).unflatten(2, self.output.shape[-2:])

    def to(self, target: torch.device | torch.dtype) -> "SiteFeatures":
        """The same on a device, or in a dtype."""
        return SiteFeatures(
            None if self.reference is None else self.reference.to(target),
            self.output.to(target),
            None if self.appearance is None else self.appearance.to(target),
        )


class ReferenceNet(Skeleton):
    """The Backbone's skeleton without temporal modules and without what comes after the last site read.

    It runs at timestep 0, once per clip for the motion frames and once per portrait.
    """

    def __init__(self, config: EmoConfig):
        super().__init__(config, reads=False)
        self.half_precision = config.reference.half_precision
        self.appearance = None
        if config.appearance is not None:
            self.appearance = AppearanceEncoder(config.spatial.latent_channels, config.appearance)

    def forward(self, latents: Tensor, context: Tensor | None = None) -> tuple[SiteFeatures, ...]:
        """Latents of pictures [B, C, h, w] -> the features of every site.

        context: identity tokens [B, T, W], for a model that has them; None stands for tokens of zeros.
        """
        latents = latents.to(self.dtype)
        appearance = None if self.appearance is None else self.appearance(latents)
        transformers = self.transformers
        features: list[SiteFeatures] = []

        def visit(site: int, hidden: Tensor) -> Tensor:
            reference = None
            transformer = transformers[site]
            if transformer is not None:
                hidden, reference = transformer.write(hidden, context)
                if self.half_precision:
                    reference = reference.half().to(hidden.dtype)
            features.append(SiteFeatures(reference, hidden, appearance))
            return hidden

        time = self.time_embedding(torch.zeros(1, device=latents.device))
        self.walk(self.conv_in(latents), time, visit)
        return tuple(features)
