"""`comfyui-emo verify`: what marks a file carries, and whether they hold."""

import argparse
import json

from ..steps.marking.describe import describe
from ..steps.marking.verify import verify_file
from .marking_options import EXIT_TAMPERED, EXIT_UNMARKED, EXIT_UNREADABLE
from .outcome import Outcome

_EXIT_CODES = {
    "marked": 0,
    "unmarked": EXIT_UNMARKED,
    "tampered": EXIT_TAMPERED,
    "unreadable": EXIT_UNREADABLE,
}


def run(arguments: argparse.Namespace) -> Outcome:
    """Look at a file.

    Raises:
        InputError: there is no such file, or --trust is no list of certificates.
    """
    found = verify_file(arguments.file, arguments.trust, arguments.records)
    text = json.dumps(found.as_json(), indent=2, ensure_ascii=False) if arguments.json else describe(found)
    return Outcome(text, _EXIT_CODES[found.verdict])
