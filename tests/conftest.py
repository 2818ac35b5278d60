"""Keeps the root off sys.path: tests import `comfyui_emo`, and `import nodes` must stay free for the host."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
