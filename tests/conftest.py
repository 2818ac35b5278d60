"""Keeps the root off sys.path: tests import `comfyui_emo`, and `import nodes` must stay free for the host."""

import os
import sys
from pathlib import Path

from hypothesis import settings

# The tests' networks are tiny: threads that wait for each other cost more than they save, by far on a busy
# machine. Set before anything imports torch, and inherited by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]

# How long an example takes is the machine's affair, and no test's.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
