"""Predictions at other sizes than the recordings', against the families' own code.

The recordings hold outputs alone: weights and inputs follow from their names (tests/numbered.py). They were
made with benchmarks/published_code.py and the families' own repositories, on a CPU in float32.
"""

import pytest
import torch
from families import recorded, relative_error
from numbered import FAMILIES, GEOMETRIES, numbered_inputs, numbered_networks, numbers, of_geometry

from comfyui_emo.models.checkpoints.moore import CONFIG as MOORE_CONFIG
from comfyui_emo.models.config import LoopConfig
from comfyui_emo.steps.guidance import identity_tokens
from comfyui_emo.steps.windows import frame_windows

EXACT = 1e-5
GUIDANCE = 3.5


@pytest.mark.parametrize("key", GEOMETRIES)
@pytest.mark.parametrize("name", FAMILIES)
@torch.no_grad()
def test_predictions_at_another_size_are_exact(name, key):
    family, geometry = of_geometry(name, GEOMETRIES[key])
    networks, wanted = numbered_networks(family), recorded("geometries", name)
    given = numbered_inputs(family, geometry)
    halves, t = given.halves(networks), given.timestep.reshape(1)
    assert halves.unconditional is not None
    rows = [networks.backbone(given.latents, t, half) for half in (halves.unconditional, halves.conditional)]
    for row, own in zip(rows, wanted[f"{key}.rows"], strict=True):
        assert relative_error(row[0], own) < EXACT
    u, c = wanted[f"{key}.rows"]
    joined = halves.predict(networks.backbone, given.latents, given.timestep, GUIDANCE)
    assert relative_error(joined[0], u + GUIDANCE * (c - u)) < EXACT


@torch.no_grad()
def test_moores_features_locator_and_last_timestep_are_exact():
    wanted = recorded("geometries", "moore")
    family, geometry = of_geometry("moore", GEOMETRIES["tall"])
    networks, given = numbered_networks(family), numbered_inputs(family, geometry)
    tokens = identity_tokens(networks, given.identity, guided=True)
    features = networks.reference_net(given.pictures.repeat(2, 1, 1, 1), tokens)
    read = [site.reference for site in features if site.reference is not None]
    banks = {name: value for name, value in wanted.items() if ".bank." in name}
    assert len(read) == len(banks) == 16
    for value in read:  # the places follow each other in another order there
        near = [relative_error(value, bank) for bank in banks.values() if bank.shape == value.shape]
        assert min(near) < EXACT
    poses = (numbers("poses", 1, 3, 6, 192, 128) + 1) / 2
    located = networks.backbone.locate(poses.transpose(1, 2)).transpose(1, 2)
    assert relative_error(located, wanted["tall.pose_features"]) < EXACT
    halves, t = given.halves(networks), torch.tensor([999])
    for half, own in zip((halves.unconditional, halves.conditional), wanted["tall.rows_t999"], strict=True):
        assert half is not None
        assert relative_error(networks.backbone(given.latents, t, half)[0], own) < EXACT


def test_moores_windows_are_its_own():
    wanted = recorded("geometries", "moore")
    short = LoopConfig("windows", overlap_frames=1, closed=True)
    assert frame_windows(10, 4, short, 0) == wanted["windows_10_of_4"].tolist()
    for frames in (24, 50):
        windows = frame_windows(frames, 24, MOORE_CONFIG.loop, step=7)  # they do not move from step to step
        assert windows == wanted[f"windows_{frames}_of_24"].tolist()
