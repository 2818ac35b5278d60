"""What the tests of published families share: recorded tensors, and the families at the recordings' size.

The recordings are inputs, random weights and outputs of the families' own unmodified code at a small size.
Weights lie in float8, in which they were drawn, so that float32 loses nothing.
"""

from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file

from comfyui_emo.models.build import EmoNetworks
from comfyui_emo.models.checkpoints.assembly import Assembly, assemble
from comfyui_emo.models.checkpoints.echomimic import ECHOMIMIC, ECHOMIMIC_ACC, ECHOMIMIC_POSE
from comfyui_emo.models.checkpoints.families import fill_networks
from comfyui_emo.models.checkpoints.family import Family
from comfyui_emo.models.checkpoints.hallo import HALLO
from comfyui_emo.models.checkpoints.v_express import V_EXPRESS
from comfyui_emo.models.checkpoints.weight_source import open_weights
from comfyui_emo.models.config import EmoConfig

FIXTURES = Path(__file__).resolve().parent / "fixtures"


def recorded(family: str, name: str) -> dict[str, torch.Tensor]:
    """The tensors of a recording, those stored in half precision as float32."""
    tensors = load_file(FIXTURES / family / f"{name}.safetensors")
    return {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}


def relative_error(value: torch.Tensor, wanted: torch.Tensor) -> float:
    assert value.shape == wanted.shape, (value.shape, wanted.shape)
    return float((value.float() - wanted.float()).norm() / wanted.float().norm())


def _small(config: EmoConfig, **parts) -> EmoConfig:
    spatial = replace(config.spatial, channels=(32, 64, 64, 64), heads=4, norm_groups=8)
    changed = {name: replace(getattr(config, name), **values) for name, values in parts.items()}
    return replace(config, spatial=spatial, **changed)


def _echomimic(family: Family) -> Family:
    config = _small(family.config, temporal={"frames_per_clip": 4}, loop={"overlap_frames": 1})
    return replace(family, config=config)


SMALL_HALLO = replace(
    HALLO,
    config=_small(
        HALLO.config,
        temporal={"frames_per_clip": 4},
        context={"token_width": 32, "embedding_width": 16},
        audio={"feature_width": 3 * 24, "hidden_width": 16, "tokens": 6, "token_width": 40},
    ),
)
SMALL_ECHOMIMIC = _echomimic(ECHOMIMIC)
SMALL_ECHOMIMIC_ACC = _echomimic(ECHOMIMIC_ACC)
SMALL_ECHOMIMIC_POSE = _echomimic(ECHOMIMIC_POSE)
SMALL_V_EXPRESS = replace(
    V_EXPRESS,
    config=_small(
        V_EXPRESS.config,
        temporal={"frames_per_clip": 4},
        loop={"overlap_frames": 1, "noise_skip": 2},
        context={"token_width": 40},
        audio={"feature_width": 24, "token_width": 40},
        resampler={"layers": 2, "heads": 4, "head_width": 8, "feed_forward_multiplier": 2},
    ),
)


def small_assembly(family: Family) -> Assembly:
    """The recorded weights as files of a family; every version of a model has the same here."""
    folder = FIXTURES / family.name.removesuffix("-acc").removesuffix("-pose") / "weights"
    parts = []
    for file in family.layouts[0]:
        name = (
            file.name if "face_locator" in file.name else file.name.replace("_pose", "").replace("_acc", "")
        )
        if (folder / f"{name}.safetensors").exists():
            parts.append((file, open_weights(folder / f"{name}.safetensors")))
    return assemble(family, parts)


@cache
def small_networks(family: Family, half_precision: bool | None = None) -> EmoNetworks:
    """A family's networks with the recorded weights; optionally with other precision of the features."""
    if half_precision is not None:
        reference = replace(family.config.reference, half_precision=half_precision)
        family = replace(family, config=replace(family.config, reference=reference))
    return fill_networks(small_assembly(family), torch.float32)


SITES = tuple(
    [f"down_blocks.{level}.attentions.{index}" for level in range(3) for index in range(2)]
    + ["mid_block.attentions.0"]
    + [f"up_blocks.{level}.attentions.{index}" for level in range(1, 4) for index in range(3)]
)
"""Names of the places with attention, in the order of the walk."""


def frames_first(video: torch.Tensor) -> torch.Tensor:
    """[B, C, F, h, w], as the families order it, and [B, F, C, h, w], as here: either way."""
    return video.transpose(1, 2)
