"""The face locator (paper, section 3.2, "Face Locator"): where in the picture the face may be.

M, the union of the face boxes of the clip, is encoded by light convolutions and added before the Backbone.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from .attention import zero_parameters
from .config import LocatorConfig


class FaceLocator(nn.Module):
    """Mask or drawing [B, channels_in, s*h, s*w] in 0..1 -> [B, C_out, h, w].

    s is the configuration's `mask_scale`. The last layer starts at zero. Parameter names are those of the
    public checkpoints of this skeleton.
    """

    def __init__(self, config: LocatorConfig, channels_out: int):
        super().__init__()
        widths = config.channels
        self.conv_in = nn.Conv2d(config.channels_in, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for width, next_width in zip(widths[:-1], widths[1:], strict=True):
            self.blocks.append(nn.Conv2d(width, width, 3, padding=1))
            self.blocks.append(nn.Conv2d(width, next_width, 3, padding=1, stride=2))
        self.conv_out = nn.Conv2d(widths[-1], channels_out, 3, padding=1)
        zero_parameters(self.conv_out)

    def forward(self, mask: Tensor) -> Tensor:
        hidden = F.silu(self.conv_in(mask))
        for block in self.blocks:
            hidden = F.silu(block(hidden))
        return self.conv_out(hidden)
