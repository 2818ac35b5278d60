"""From the command line's options to how a file is marked."""

import argparse
from dataclasses import replace

from ..steps.marking.settings import DEFAULT_LABEL_TEXT, NO_MARKS, Marking


def marking_settings(arguments: argparse.Namespace) -> Marking:
    """How the options ask to mark the video.

    Raises:
        InputError: a label that cannot be.
    """
    if arguments.no_marks:
        return NO_MARKS
    return replace(picture_marking(arguments), label_seconds=arguments.label_seconds)


def picture_marking(arguments: argparse.Namespace) -> Marking:
    """How the options ask to mark a picture.

    Raises:
        InputError: a label that cannot be.
    """
    return Marking(
        consent=arguments.consent,
        label=arguments.label is not None,
        label_text=DEFAULT_LABEL_TEXT if arguments.label is None else arguments.label,
        aigc=arguments.aigc,
        signing_certificate=arguments.signing_certificate,
        signing_key=arguments.signing_key,
    )
