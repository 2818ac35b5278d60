"""`comfyui-emo mark`: a png that a model made -> the same, marked as synthetic."""

import argparse

from ..steps.marking.credentials import check_unsigned, credentials_available
from ..steps.marking.marks import Origin, check_signing_key, prepare_marks
from ..steps.picture_file import check_picture_path, read_picture, write_picture
from ..steps.run_record import digest
from .checks import check_output_folder
from .marks import picture_marking


def run(arguments: argparse.Namespace) -> str:
    """Mark the picture; gives the line that says where it lies.

    Raises:
        InputError: an option, the picture or the output cannot be used, or it is signed already.
    """
    marking = picture_marking(arguments)
    check_signing_key(marking)
    check_picture_path(arguments.out)
    check_output_folder(arguments.out)
    picture, texts = read_picture(arguments.picture)
    if credentials_available():
        check_unsigned(arguments.picture)
    height_px, width_px = picture.shape[-2:]
    marks = prepare_marks(marking, Origin(settings=digest(picture)), width_px, height_px)
    write_picture(arguments.out, picture, texts, marks)
    return f"{arguments.out.absolute()}: {width_px}x{height_px} pixels, marked as synthetic"
