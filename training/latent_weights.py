"""How much each latent channel counts in the loss: as much as an error in it shows in the picture.

The autoencoder normalises every channel to the same deviation, also one that only adds a little detail.
Weighted alike, such channels take as much of the small network as those that make the face.
"""

import torch
from torch import Tensor

from ..models.autoencoder import Autoencoder
from .avatars.identity import draw_identities
from .avatars.renderer import render
from .avatars.state import draw_states

_PICTURES = 24
_SIZE_PX = 128
_ERROR = 0.3  # of a channel's deviation: about what a trained network leaves
_SEED = 3


@torch.no_grad()
def channel_weights(autoencoder: Autoencoder) -> Tensor:
    """Weights [C], 1 on average, in proportion to the squared pixel error that a small error makes."""
    generator = torch.Generator().manual_seed(_SEED)
    identity, states = draw_identities(_PICTURES, generator), draw_states(_PICTURES, generator)
    latents = autoencoder.encode(render(identity, states, _SIZE_PX))
    decoded = autoencoder.decode(latents)
    errors = []
    for channel in range(latents.shape[1]):
        changed = latents.clone()
        changed[:, channel] += _ERROR * torch.randn(changed[:, channel].shape, generator=generator)
        errors.append((autoencoder.decode(changed) - decoded).square().mean())
    shown = torch.stack(errors)
    return shown / shown.mean()
