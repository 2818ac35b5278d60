"""Still and moving clips for benchmarks/watermark.py, each [F, 3, S, S] in 0..1."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ..models.checkpoints.emo import load_model
from ..steps.talk import animate, fit_to_model
from ..training.avatars.renderer import render
from ..training.evaluation_set import EvaluationSet
from .example import ASSETS, example_request

SECONDS, FPS = 4.0, 25
FRAMES = round(SECONDS * FPS)

Clip = Callable[[], Tensor]


def clips(size_px: int, per_kind: int) -> Iterator[tuple[str, Clip]]:
    """Kind and maker of each clip: what the bundled model makes (128 pixels only), true avatars, the bundled
    portraits standing still, and pictures of dead leaves, still and under a moving camera."""
    for index in range(per_kind):
        if size_px == 128:
            yield "bundled model", partial(_of_the_model, index)
        yield "true avatar", partial(_true_avatar, index, size_px)
        yield "still portrait", partial(_still_portrait, index, size_px)
        yield "leaves, still", partial(_leaves, index, size_px, False)
        yield "leaves, camera moves", partial(_leaves, index, size_px, True)


def _of_the_model(index: int) -> Tensor:
    from dataclasses import replace

    from ..steps.face_region import find_face_region
    from ..steps.portrait import read_portrait

    model, device = load_model(), torch.device("cpu")
    portraits = sorted((ASSETS / "portraits").glob("*.png"))
    portrait = read_portrait(portraits[index % len(portraits)])
    request = example_request(model, SECONDS)
    request = replace(request, portrait=portrait, region=find_face_region(portrait))
    fitted = fit_to_model(portrait, request.region, model.config)
    return torch.cat(list(animate(model, fitted, request, device)))[:FRAMES]


def _true_avatar(index: int, size_px: int) -> Tensor:
    held_out = EvaluationSet.load()
    identity = held_out.identities.select([index]).repeat_interleave(FRAMES)
    return torch.cat(
        [
            render(identity.select(slice(at, at + 10)), held_out.states[index, at : at + 10], size_px)
            for at in range(0, FRAMES, 10)
        ]
    )


def _still_portrait(index: int, size_px: int) -> Tensor:
    portraits = sorted((ASSETS / "portraits").glob("*.png"))
    picture = Image.open(portraits[index % len(portraits)]).convert("RGB").resize((size_px, size_px))
    return (torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255).expand(FRAMES, -1, -1, -1)


def _leaves(index: int, size_px: int, moving: bool) -> Tensor:
    """Dead leaves: discs of random colours over each other, which have the statistics of natural pictures
    (Lee, Mumford and Huang, "Occlusion models for natural images", IJCV, 2001), with a little grain."""
    rng = np.random.default_rng(index)
    side = round(1.3 * size_px)
    rows, columns = np.mgrid[:side, :side]
    picture = np.zeros((side, side, 3), np.float32)
    radii = 0.25 * side * rng.pareto(2.0, 1500).clip(0.06, 1.0)
    for radius, row, column, colour in zip(
        radii,
        rng.uniform(0, side, 1500),
        rng.uniform(0, side, 1500),
        rng.uniform(0.1, 0.9, (1500, 3)),
        strict=True,
    ):
        picture[(rows - row) ** 2 + (columns - column) ** 2 < radius**2] = colour
    picture += rng.normal(0, 0.008, (side, side, 1))
    whole = torch.from_numpy(picture.clip(0, 1)).permute(2, 0, 1)[None]
    frames = []
    for frame in range(FRAMES):
        share = frame / FRAMES if moving else 0.5
        matrix = torch.tensor([[1 / 1.3, 0, 0.2 * (share - 0.5)], [0, 1 / 1.3, 0.1 * (share - 0.5)]])
        grid = F.affine_grid(matrix[None], [1, 3, size_px, size_px], align_corners=False)
        frames.append(F.grid_sample(whole, grid, align_corners=False))
    return torch.cat(frames).clamp(0, 1)
