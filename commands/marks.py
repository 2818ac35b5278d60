"""From the command line's options to how a video is marked, and the terms of use."""

import argparse
import logging

from ..models.checkpoints.emo import LoadedModel
from ..models.checkpoints.weight_file import file_sha256
from ..steps.marking.settings import DEFAULT_LABEL_TEXT, NO_MARKS, Marking
from ..steps.marking.terms import terms_to_show

log = logging.getLogger(__name__)


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


def show_terms(model: LoadedModel) -> None:
    """Say the terms of use if this user has not seen them for this model."""
    terms = terms_to_show(model.config.name, file_sha256(model.path))
    if terms is not None:
        log.info("%s", terms)
