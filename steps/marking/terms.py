"""The terms of use, shown once for each model."""

import hashlib
from contextlib import suppress

from .user_folder import keep_privately, user_folder

TERMS = (
    "Animate only people, and use only voices of people, who agreed to it. Do not deceive, impersonate or "
    "put words into anybody's mouth, and say that the result is synthetic wherever you show it. Videos are "
    "marked as synthetic, in their pixels and by signed credentials; the law may ask you to keep that. "
    "The model's own licence holds as well."
)


def terms_to_show(model_name: str, model_sha256: str) -> str | None:
    """The terms, if they were not shown for this model yet; remembers that they are now.

    Where nothing can be remembered they are shown every time.
    """
    shown = (
        user_folder() / "terms-shown" / hashlib.sha256(f"{model_sha256}\n{TERMS}".encode()).hexdigest()[:16]
    )
    if shown.is_file():
        return None
    with suppress(OSError):
        keep_privately(shown, f"{model_name}\n{TERMS}\n".encode())
    return f"Terms of use of {model_name}: {TERMS}"
