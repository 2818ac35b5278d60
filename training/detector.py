"""Reads what an avatar does out of a picture of it: the measuring instrument of the evaluator."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import InputError, WeightsError
from ..models.checkpoints.weight_file import dataclass_settings, read_weights, write_weights
from .avatars.state import MEAN_SCALE, STATE, STATE_NAMES

KIND = "avatar_detector"
BUNDLED_DETECTOR = Path(__file__).resolve().parent / "evaluation" / "detector.safetensors"
INPUT_SIZE_PX = 64

# One unit of the network's output; what is not named is 1.
_UNITS = {
    **{"gaze_x": 0.5, "gaze_y": 0.5, "brow": 0.5},
    **{"yaw": 0.25, "pitch": 0.15, "roll": 0.10, "shift_x": 0.10, "shift_y": 0.10, "scale": 0.05},
}
_READ_AT_ONCE = 64


@dataclass(frozen=True)
class DetectorConfig:
    """Sizes of the detector.

    Attributes:
        channels: widths at 1/2, 1/4, 1/8 and 1/16 of its 64x64 pixels.
        hidden: width of the layer between the last features and the state.
    """

    channels: tuple[int, ...] = (24, 40, 64, 96)
    hidden: int = 76

    def __post_init__(self) -> None:
        if len(self.channels) != 4 or min(*self.channels, self.hidden) < 1:
            raise InputError(
                got=f"detector channels {self.channels}, hidden {self.hidden}",
                allowed="4 widths and a hidden width, of 1 or more each",
                do="change the detector's configuration",
            )


class AvatarDetector(nn.Module):
    """A picture of a drawn avatar -> its state, also where the picture is blurred, noisy or generated."""

    units: Tensor
    offsets: Tensor

    def __init__(self, config: DetectorConfig):
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        before = 3
        for width in config.channels:
            layers += [nn.Conv2d(before, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            before = width
        self.features = nn.Sequential(*layers)
        side = INPUT_SIZE_PX // 16
        # no pooling: where a feature lies is what yaw, pitch and shift are read from
        self.state = nn.Sequential(
            nn.Flatten(),
            nn.Linear(before * side**2, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, len(STATE)),
        )
        units = torch.tensor([_UNITS.get(name, 1.0) for name in STATE_NAMES])
        offsets = torch.zeros(len(STATE)).index_fill_(0, torch.tensor(STATE["scale"]), MEAN_SCALE)
        self.register_buffer("units", units, persistent=False)
        self.register_buffer("offsets", offsets, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels [N, 3, 64, 64] in 0..1 -> states in units of the network [N, 14]."""
        return self.state(self.features(pixels * 2 - 1))

    def in_units(self, states: Tensor) -> Tensor:
        """States [N, 14] -> what the network shall answer [N, 14]."""
        return (states - self.offsets) / self.units

    @torch.no_grad()
    def detect(self, pixels: Tensor) -> Tensor:
        """Read pictures of any square size.

        Args:
            pixels: [N, 3, S, S] in 0..1.

        Returns:
            States [N, 14], the columns of `avatars.state.STATE_NAMES`. Roughly as drawn; mouth and lids are
            not clipped to 0..1, so that noise around a shut mouth averages out.
        """
        readings = [
            self(F.interpolate(chunk, (INPUT_SIZE_PX, INPUT_SIZE_PX), mode="area"))
            for chunk in pixels.split(_READ_AT_ONCE)
        ]
        return torch.cat(readings) * self.units + self.offsets


def save_detector(path: Path, detector: AvatarDetector, training: dict[str, Any]) -> None:
    """Write a detector as float16 with its configuration and training record."""
    metadata = {"kind": KIND, "config": asdict(detector.config), "training": training}
    write_weights(path, detector.state_dict(), metadata, torch.float16)


def load_detector(path: Path = BUNDLED_DETECTOR) -> AvatarDetector:
    """Read a detector written by `save_detector`, in eval mode; without a path, the bundled one.

    Raises:
        WeightsError: the file is missing, damaged, or holds no detector.
    """
    metadata, tensors = read_weights(path, "an avatar detector")
    if metadata.get("kind") != KIND:
        raise WeightsError(
            got=f"{path} of kind {metadata.get('kind')!r}",
            allowed=f"a file of kind {KIND!r}",
            do="give a file made by training/detector_training.py, or leave the path away",
        )
    detector = AvatarDetector(DetectorConfig(**dataclass_settings(metadata["config"])))
    detector.load_state_dict(tensors)
    return detector.eval()
