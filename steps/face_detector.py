"""kornia's YuNet face detector from a file of weights on this machine; nothing is ever downloaded."""

import importlib
import os
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from ..errors import DependencyError, WeightsError

WEIGHTS_NAME = "yunet_final.pth"
WEIGHTS_SOURCES = "https://huggingface.co/kornia/yunet or https://github.com/kornia/data"

# YuNet's largest anchor is 256 pixels: a face that fills a big photo is seen once the photo is made smaller.
_LONGEST_SIDE_PX = 640
# Its coarsest feature map has a stride of 64; a whole number of cells keeps anchors and features in step.
_STRIDE_PX = 64
_MIN_SCORE = 0.5


def find_weights(weights_path: str | Path | None = None) -> Path:
    """Where YuNet's weights are: the given path, else torch's folder of checkpoints.

    Raises:
        DependencyError: no such file.
    """
    path = Path(weights_path or Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS_NAME)
    if not path.is_file():
        raise DependencyError(
            got=f"no face detector weights at {path}",
            allowed=f"YuNet's {WEIGHTS_NAME}, from {WEIGHTS_SOURCES}",
            do=f"put {WEIGHTS_NAME} there",
        )
    return path


def detect_boxes(pixels: torch.Tensor, weights_path: str | Path | None = None) -> torch.Tensor:
    """Detect faces.

    Args:
        pixels: [1, 3, H, W], RGB, 0 to 1.
        weights_path: see `find_weights`.

    Returns:
        [N, 4]: left, top, right, bottom in pixels of the picture, the surest first; may reach beyond it.

    Raises:
        DependencyError: kornia or the weights are missing.
        WeightsError: the file is damaged or not YuNet's.
    """
    path = find_weights(weights_path)
    detector = _load(str(path), path.stat().st_mtime_ns)
    height, width = pixels.shape[-2:]
    scale = min(1.0, _LONGEST_SIDE_PX / max(height, width))
    small_height, small_width = max(1, round(height * scale)), max(1, round(width * scale))
    small = F.interpolate(pixels, (small_height, small_width), mode="bilinear", antialias=True)
    padded = F.pad(small, (0, -small_width % _STRIDE_PX, 0, -small_height % _STRIDE_PX))
    bgr = padded.flip(1) * 255  # YuNet learned on BGR pictures of 0..255
    with torch.inference_mode():
        boxes = detector.postprocess(detector.model(bgr), *padded.shape[-2:])[0][:, :4]
    back = torch.tensor([width / small_width, height / small_height] * 2)
    return boxes * back


@cache
def _load(path: str, modified_ns: int) -> Any:
    """Build kornia's FaceDetector around a file of weights; `modified_ns` makes a changed file load anew."""
    try:
        face_detection: Any = importlib.import_module("kornia.contrib.face_detection")
    except ImportError:
        raise DependencyError(
            got="kornia is not installed", allowed="kornia 0.7.1 or newer", do="pip install kornia"
        ) from None
    # kornia moved and renamed the network in 0.9.
    network = getattr(face_detection, "YuNet", None) or face_detection.YuFaceDetectNet

    class OfflineDetector(face_detection.FaceDetector):
        """FaceDetector without its constructor, which downloads; the settings are those it makes."""

        def __init__(self) -> None:
            torch.nn.Module.__init__(self)
            self.top_k, self.keep_top_k = 5000, 750
            self.confidence_threshold, self.nms_threshold = _MIN_SCORE, 0.3
            self.min_sizes = [[10, 16, 24], [32, 48], [64, 96], [128, 192, 256]]
            self.steps, self.variance, self.clip = [8, 16, 32, 64], [0.1, 0.2], False
            self.nms = face_detection.nms_kornia
            self.model = network("test", pretrained=False)

    detector = OfflineDetector()
    try:
        detector.model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch's restricted unpickler meets damaged bytes with errors of any kind
        raise WeightsError(
            got=f"{path} ({os.path.getsize(path)} bytes), not YuNet's or damaged ({type(error).__name__})",
            allowed=f"YuNet's {WEIGHTS_NAME}",
            do=f"download it again from {WEIGHTS_SOURCES}",
        ) from error
    return detector.eval()
