"""Key points and drawings of the face as a user gives them: as numbers, pictures, or files of them."""

from collections.abc import Callable
from pathlib import Path

import av
import torch
from av.video.frame import VideoFrame
from torch import Tensor

from ..errors import InputError
from .face_guide import FaceGuide
from .number_file import TORCH_SUFFIXES, NumberFile, is_number_file
from .pixels import to_bytes
from .portrait import read_portrait
from .video_file import RGB_COLOURS

_POINTS = "x and y of both eyes, the picture's left one first, and of the nose, in pixels of the portrait"
_FILE = NumberFile(
    purpose="key points of the face",
    allowed="six numbers x,y,x,y,x,y, or a .npy, .safetensors or .pth file [3, 2] or [frames, 3, 2]: "
    + _POINTS,
    do="read the points off the picture, or save the first three of insightface's "
    '`FaceAnalysis("buffalo_l").get(frame)[0].kps` of every frame with numpy.save',
    max_bytes=50_000_000,
    suffixes=(".npy", ".safetensors", *TORCH_SUFFIXES),
)
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def key_points_from(given: str, find: Callable[[str], Path] = Path) -> FaceGuide:
    """Key points written out, "x,y,x,y,x,y", or the name of a file of them.

    find: gives the file of a name.

    Raises:
        InputError: not six finite numbers, or a file that cannot be used.
    """
    if is_number_file(given):
        return read_key_points(find(given))
    try:
        numbers = torch.tensor([float(part) for part in given.split(",")])
    except ValueError:
        numbers = torch.zeros(0)
    if len(numbers) != 6 or not bool(numbers.isfinite().all()):
        raise InputError(got=f"key points {given!r}", allowed=_FILE.allowed, do=_FILE.do)
    return FaceGuide(key_points=numbers.view(1, 3, 2))


def read_key_points(path: Path) -> FaceGuide:
    """Key points [3, 2] or [F, 3, 2] from a file; insightface's five points a frame will do.

    Raises:
        InputError: it cannot be read, or holds something else.
    """
    points = _FILE.read(path)
    points = points[None] if points.ndim == 2 else points
    if points.ndim != 3 or points.shape[1] not in (3, 5) or points.shape[2] != 2:
        raise _FILE.unusable(path, f"with numbers of shape {list(points.shape)}")
    return FaceGuide(key_points=points[:, :3].contiguous())


def read_drawings(path: Path) -> FaceGuide:
    """Drawings of the face: the pictures of a folder in the order of their names, one picture, or a video.

    Raises:
        InputError: there are none, one cannot be read, or their sizes differ.
    """
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in _PICTURES)
    else:
        files = [path]
    if len(files) == 1 and files[0].suffix.lower() not in _PICTURES:
        return FaceGuide(drawings=_frames_of_video(path))
    pictures = [to_bytes(read_portrait(file).pixels) for file in files]
    sizes = {tuple(picture.shape[-2:]) for picture in pictures}
    if len(sizes) != 1:
        told = " and ".join(f"{width}x{height}" for height, width in sorted(sizes)[:3])
        raise InputError(
            got=f"{path} with {f'drawings of {told} pixels' if sizes else 'no pictures'}",
            allowed="a folder of pictures of the portrait's size, one for every frame, or a video of them",
            do="put them there, named in their order",
        )
    return FaceGuide(drawings=torch.cat(pictures))


def _frames_of_video(path: Path) -> Tensor:
    """All pictures of a video [F, 3, H, W], 8 bits a channel."""
    try:
        with av.open(str(path)) as container:
            frames = [_pixels(frame) for frame in container.decode(video=0)]
    except (av.FFmpegError, IndexError, OSError) as error:
        raise InputError(
            got=f"{path}, which is no video that can be read ({error})",
            allowed="a folder of pictures, a picture, or a video",
            do="check the path",
        ) from error
    return torch.stack(frames)


def _pixels(frame: VideoFrame) -> Tensor:
    return torch.from_numpy(frame.to_ndarray(format="rgb24", **RGB_COLOURS)).permute(2, 0, 1)
