"""What a portrait looks like, as one code: the small features that attention alone does not carry over."""

from torch import Tensor, nn
from torch.nn import functional as F

from .network_config import AppearanceConfig


class AppearanceEncoder(nn.Module):
    """A portrait's latents [B, C, s, s] -> its code [B, W], wherever in the picture the face is.

    The paper leaves a face to reference-attention alone. At the bundled model's size that carries the colours
    and shapes of a cell and more, but not the eyes: the network drew average ones and then went on with them.
    So a code tells it, like the face embedding of other models of this skeleton. It is learned beforehand.
    """

    def __init__(self, latent_channels: int, config: AppearanceConfig):
        super().__init__()
        first, second, third = config.channels
        self.side = config.latent_side
        self.conv_in = nn.Conv2d(latent_channels, first, 3, padding=1)
        self.conv_fine = nn.Conv2d(first, first, 3, padding=1)
        self.down_1 = nn.Conv2d(first, second, 3, stride=2, padding=1)
        self.down_2 = nn.Conv2d(second, third, 3, stride=2, padding=1)
        self.hidden = nn.Linear(third * (config.latent_side // 4) ** 2, config.hidden_width)
        self.code = nn.Linear(config.hidden_width, config.width)

    def forward(self, latents: Tensor) -> Tensor:
        if latents.shape[-2:] != (self.side, self.side):
            latents = F.interpolate(latents, (self.side, self.side), mode="bilinear", antialias=True)
        hidden = F.silu(self.conv_in(latents))
        hidden = hidden + F.silu(self.conv_fine(hidden))
        hidden = F.silu(self.down_2(F.silu(self.down_1(hidden))))
        return self.code(F.silu(self.hidden(hidden.flatten(1))))
