"""From the command line's options to how a video is marked."""

import argparse

from ..steps.marking.settings import DEFAULT_LABEL_TEXT, NO_MARKS, Marking


def marking_settings(arguments: argparse.Namespace) -> Marking:
    """How the options ask to mark the video.

    Raises:
        InputError: a label that cannot be.
    """
    if arguments.no_marks:
        return NO_MARKS
    return Marking(
        consent=arguments.consent,
        label=arguments.label is not None,
        label_text=DEFAULT_LABEL_TEXT if arguments.label is None else arguments.label,
        label_seconds=arguments.label_seconds,
        aigc=arguments.aigc,
        signing_certificate=arguments.signing_certificate,
        signing_key=arguments.signing_key,
    )
