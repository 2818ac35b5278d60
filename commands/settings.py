"""From options to the settings of a run, with the model's defaults where the user said nothing."""

import argparse

from ..models.config import SamplingDefaults
from ..steps.head_motion import HeadMotion, motion_of_style
from ..steps.sampling_settings import SamplingSettings


def head_motion(arguments: argparse.Namespace, defaults: SamplingDefaults) -> HeadMotion:
    """The head motion of --speed or --style, and --movement-margin.

    Raises:
        InputError: a speed out of range.
    """
    if arguments.speed is not None:
        return HeadMotion(arguments.speed, arguments.movement_margin)
    return motion_of_style(arguments.style, defaults, arguments.movement_margin)


def sampling_settings(
    arguments: argparse.Namespace, defaults: SamplingDefaults, seed: int
) -> SamplingSettings:
    """The settings of --steps, --scheduler, --guidance and --pose-noise.

    Raises:
        InputError: a value out of range.
    """
    options = {
        "steps": arguments.steps,
        "scheduler": arguments.scheduler,
        "voice_guidance": arguments.guidance,
        "pose_noise_scale": arguments.pose_noise,
    }
    chosen = {name: value for name, value in options.items() if value is not None}
    return SamplingSettings.of(defaults, **chosen, seed=seed)
