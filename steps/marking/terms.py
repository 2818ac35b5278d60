"""The terms of use, shown once for each model."""

import hashlib
import logging
from contextlib import suppress

from .user_folder import keep_privately, user_folder

log = logging.getLogger(__name__)

TERMS = (
    "Animate only people, and use only voices of people, who agreed to it. Do not deceive, impersonate or "
    "put words into anybody's mouth, and say that the result is synthetic wherever you show it. Videos are "
    "marked as synthetic, in their pixels and by signed credentials; the law may ask you to keep that. "
    "The model's own licence holds as well."
)


def show_terms(model_name: str) -> None:
    """Say the terms in the log, unless they were shown for this model before.

    Where nothing can be remembered they are shown every time.
    """
    seen = hashlib.sha256(f"{model_name}\n{TERMS}".encode()).hexdigest()[:16]
    remembered = user_folder() / "terms-shown" / seen
    if remembered.is_file():
        return
    log.warning("terms of use of %s: %s", model_name, TERMS)
    with suppress(OSError):
        keep_privately(remembered, f"{model_name}\n{TERMS}\n".encode())
