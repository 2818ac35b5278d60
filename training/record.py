"""What a file of weights says of its making."""

import subprocess
from pathlib import Path


def code_version() -> str:
    """The commit of this code, "unknown" outside a git checkout."""
    command = ["git", "-C", str(Path(__file__).resolve().parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
