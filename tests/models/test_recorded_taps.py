"""The state of the networks between their layers, against recordings of the families' own code."""

import pytest
import torch
from families import SMALL, recorded, relative_error, small_networks
from recorded_steps import recorded_step

from comfyui_emo.models.backbone import Backbone
from comfyui_emo.models.skeleton import Level

FAMILIES = ("hallo", "echomimic", "v-express")
EXACT = 1e-5


def last_layer(level: Level) -> torch.nn.Module:
    """What a level's output comes from."""
    if level.downsamplers or level.upsamplers:
        return [*level.downsamplers, *level.upsamplers][0]
    if len(level.resnets) > level.site_count:  # the middle ends with a residual block
        return level.resnets[-1]
    return (level.motion_modules or level.resnets)[-1]


def listen(backbone: Backbone) -> tuple[dict[str, torch.Tensor], list]:
    """A record that fills with what a prediction computes, by the recordings' names, and its hooks."""
    heard: dict[str, torch.Tensor] = {}
    first: Level = backbone.down_blocks[0]  # type: ignore[assignment]
    levels = {f"down_blocks.{i}": level for i, level in enumerate(backbone.down_blocks)}
    levels |= {f"up_blocks.{i}": level for i, level in enumerate(backbone.up_blocks)}
    levels["mid_block"] = backbone.mid_block
    layers = {name: last_layer(level) for name, level in levels.items()}  # type: ignore[arg-type]
    layers |= {"conv_in": backbone.conv_in, "down_blocks.0.resnets.0": first.resnets[0]}
    layers["down_blocks.0.motion_modules.0"] = first.motion_modules[0]
    if first.audio_modules:
        layers["down_blocks.0.audio_modules.0"] = first.audio_modules[0]
    # A transformer is asked by another method than forward: what follows it tells what it gave.
    after = (first.audio_modules or first.motion_modules)[0]

    def keep(name: str):
        return lambda _, __, output: heard.__setitem__(name, output)

    hooks = [layer.register_forward_hook(keep(name)) for name, layer in layers.items()]
    attended = "down_blocks.0.attentions.0"
    hooks.append(after.register_forward_pre_hook(lambda _, given: heard.__setitem__(attended, given[0])))
    return heard, hooks


@pytest.mark.parametrize("name", FAMILIES)
def test_what_passes_between_the_layers_is_exact(name):
    # Recorded with the published precision of the reference features.
    step, wanted = recorded_step(name, small_networks(SMALL[name])), recorded(name, "unit_taps")
    heard, hooks = listen(step.networks.backbone)
    step.rows()  # the conditional half comes last
    for hook in hooks:
        hook.remove()
    assert {f"tap_cond.{layer}" for layer in heard} == set(wanted)
    for layer, value in heard.items():
        tap = wanted[f"tap_cond.{layer}"][0].transpose(0, 1)
        # Of the motion frames, in front, no output is computed: nothing reads it.
        assert relative_error(value, tap[-len(value) :]) < EXACT, layer
