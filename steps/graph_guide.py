"""How the head moves, in the graph: text and IMAGE -> what a model is told."""

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from .face_guide import FaceGuide
from .face_guide_files import key_points_from
from .graph_tensors import frames_of_images
from .pixels import to_bytes


def face_guide(
    key_points: str, drawings: Tensor | None, find_file: Callable[[str], Path]
) -> FaceGuide | None:
    """Key points as text or the name of a file, or drawings [F, H, W, 3]; None where neither is given.

    Raises:
        InputError: both are given, or they cannot be used.
    """
    pictures = None if drawings is None else to_bytes(frames_of_images(drawings).cpu())
    if not key_points:
        return None if pictures is None else FaceGuide(drawings=pictures)
    points = key_points_from(key_points, find_file).key_points
    return FaceGuide(key_points=points, drawings=pictures)
