"""Networks and inputs whose numbers follow from their names, so that recordings of them need no weights.

NumPy keeps the stream of `RandomState` the same for ever, so the numbers are the same everywhere.
"""

import gzip
import json
import zlib
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from families import FIXTURES, SMALL

from comfyui_emo.benchmarks.family_example import StepInputs
from comfyui_emo.models.build import EmoNetworks, build_networks
from comfyui_emo.models.checkpoints.assembly import expected_shapes
from comfyui_emo.models.checkpoints.family import Family
from comfyui_emo.models.checkpoints.moore import MOORE
from comfyui_emo.models.region_audio import VoiceRegions


class Geometry(NamedTuple):
    """A size of networks, and of what they are given."""

    widths: tuple[int, ...]
    heads: int
    norm_groups: int
    frames: int
    height: int
    width: int


GEOMETRIES = {
    "wide": Geometry((64, 96, 128, 128), 8, 16, 1, 24, 24),
    "tall": Geometry((32, 64, 64, 64), 4, 8, 6, 24, 16),
    "long": Geometry((32, 32, 64, 64), 4, 8, 16, 8, 16),
}
FAMILIES = ("hallo", "echomimic", "v-express", "moore")


def manifest(family: Family) -> dict[str, dict[str, list[int]]]:
    """Names and shapes of a family's published files, by the files' names without folder and ending."""
    name = "echomimic" if family.name.startswith("echomimic") else family.name
    files = json.loads(gzip.decompress((FIXTURES / "manifests" / f"{name}.json.gz").read_bytes()))
    return {path.rsplit("/")[-1].rsplit(".")[0]: tensors for path, tensors in files.items()}


def numbers(name: str, *shape: int) -> torch.Tensor:
    """Even over -1..1, float32."""
    drawn = np.random.RandomState(zlib.crc32(name.encode())).random_sample(shape)
    return torch.from_numpy((2 * drawn - 1).astype(np.float32))


def of_geometry(name: str, geometry: Geometry) -> tuple[Family, Geometry]:
    """A family at a geometry, as far as its own code allows: square for Hallo, 2 frames for EchoMimic."""
    if name == "hallo":
        geometry = geometry._replace(height=geometry.width)
    if name == "echomimic":
        geometry = geometry._replace(frames=max(geometry.frames, 2))
    family = SMALL.get(name, MOORE)
    config = family.config
    spatial = replace(
        config.spatial,
        channels=geometry.widths,
        heads=geometry.heads,
        norm_groups=geometry.norm_groups,
    )
    context = config.context if name in SMALL else replace(MOORE.config.context, token_width=32)  # type: ignore[type-var]
    config = replace(
        config,
        spatial=spatial,
        context=context,
        reference=replace(config.reference, half_precision=False),
        temporal=replace(
            config.temporal, frames_per_clip=max(geometry.frames, config.temporal.motion_frames)
        ),
        loop=replace(config.loop, overlap_frames=0),
    )
    return replace(family, config=config), geometry


def numbered_networks(family: Family) -> EmoNetworks:
    """Networks in eval mode whose numbers follow from the published names of their tensors."""
    expected = expected_shapes(family)
    tensors: dict[str, torch.Tensor] = {}
    for file in family.layouts[0]:
        for name in manifest(family)[file.name]:
            own = family.own_name(file.part + name)
            if own in expected:  # a block between equal widths has no shortcut
                tensors[own] = _weight(file.part + name, expected[own])
    networks = build_networks(family.config, "meta")
    networks.load_state_dict(tensors, assign=True)
    return networks.eval().requires_grad_(False)


def _weight(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    drawn = numbers(name, *shape)
    if len(shape) > 1:
        return drawn * 1.2 * drawn[0].numel() ** -0.5
    return 0.1 * drawn + (1.0 if "norm" in name and name.endswith("weight") else 0.0)


def numbered_inputs(family: Family, geometry: Geometry) -> StepInputs:
    """Inputs of one step, of a portrait with a known identity where the family has one."""
    config, frames, height, width = family.config, geometry.frames, geometry.height, geometry.width
    context, audio = config.context, config.audio
    identity = voice = None
    if context is not None and context.in_backbone:
        embedded = context.embedding_width
        shape = (context.tokens, context.token_width) if embedded is None else (embedded,)
        identity = 1.7 * numbers("identity", 1, *shape)
    if audio.place != "none":
        voice = 1.7 * numbers("voice", 1, frames, audio.tokens, audio.token_width)
    masks = [numbers(f"masks {d}", 3, 1, (height >> d) * (width >> d)) for d in range(4)]
    return StepInputs(
        1.7 * numbers("pictures", 1 + config.temporal.motion_frames, 4, height, width),
        identity,
        voice,
        (numbers("mask", 1, config.locator.channels_in, 8 * height, 8 * width) + 1) / 2,
        VoiceRegions(tuple((mask + 1) / 2 for mask in masks), (1.0, 0.7, 1.3)),
        1.7 * numbers("latents", 1, frames, 4, height, width),
        torch.tensor(637),
    )
