"""Keeps the root off sys.path: tests import `comfyui_emo`, and `import nodes` must stay free for the host."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The tests' networks are tiny: threads that wait for each other cost more than they save, by far on a busy
# machine. Set before anything imports torch, and inherited by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]

# How long an example takes is the machine's affair, and no test's. The same examples every time, so that the
# same code passes twice.
settings.register_profile("untimed", deadline=None, derandomize=True)
settings.load_profile("untimed")

@pytest.fixture(autouse=True, scope="session")
def users_own_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Tests keep certificates, records and accepted terms in a folder of their own, never in the user's."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMFYUI_EMO_HOME", str(folder))
        for name in ("CERTIFICATE", "KEY", "PASS_PHRASE"):
            patch.delenv(f"COMFYUI_EMO_SIGNING_{name}", raising=False)
        yield folder
