"""The graph's pictures to png files."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from .graph_origin import graph_origin
from .graph_runs import RUN_KEY
from .graph_tensors import frames_of_images
from .marking.marks import prepare_marks
from .marking.settings import Marking
from .picture_file import write_picture
from .run_record import digest


def save_pictures(
    images: Tensor,
    latent: Mapping[str, Any] | None,
    graph: dict[str, str],
    marking: Marking,
    next_path: Callable[[], Path],
) -> Iterator[Path]:
    """Write pictures [N, H, W, 3] one after the other; gives each file's path once it is there.

    Args:
        images: the pictures.
        latent: what they were decoded from, which names model and portrait; None: that is not known.
        graph: the workflow as text, stored in every file.
        marking: how they are marked as synthetic.
        next_path: the name of the next file, asked for once the one before is there.

    Raises:
        InputError: pictures that cannot be used, or a file that cannot be signed or written.
    """
    frames = frames_of_images(images)
    run = None if latent is None else latent.get(RUN_KEY)
    height_px, width_px = frames.shape[-2:]
    marks = prepare_marks(marking, graph_origin(run, {}, graph), width_px, height_px)
    for picture in frames:
        path = next_path()
        own = graph_origin(run, {"picture": digest(picture)}, graph)
        write_picture(path, picture, graph, marks.with_payload(own.payload))
        yield path
