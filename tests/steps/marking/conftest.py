"""Small files to sign, and certificates of all kinds."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image

from comfyui_emo.steps.marking.credentials import Provenance
from comfyui_emo.steps.marking.local_certificate import make_local_certificate


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """An unsigned mp4 of a few grey frames."""
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 128
        stream.pix_fmt = "yuv420p"
        for level in range(5):
            pixels = np.full((128, 128, 3), 100 + level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """An unsigned png."""
    path = tmp_path / "picture.png"
    Image.linear_gradient("L").convert("RGB").save(path)
    return path


@pytest.fixture
def provenance() -> Provenance:
    return Provenance("avatar-128", "ab" * 32, "cd" * 32, "ef" * 32, 0xDEADBEEF, "They agreed.")


@pytest.fixture
def certificate(tmp_path: Path) -> Callable[..., SimpleNamespace]:
    """Makes a certificate and its key as files; days: how long it is valid from yesterday on."""

    def make(name: str = "Somebody", days: float = 100) -> SimpleNamespace:
        made = make_local_certificate(name, timedelta(days=days))
        folder = tmp_path / name
        folder.mkdir()
        (folder / "chain.pem").write_bytes(made.chain_pem)
        (folder / "key.pem").write_bytes(made.key_pem)
        (folder / "root.pem").write_bytes(made.root_pem)
        return SimpleNamespace(chain=folder / "chain.pem", key=folder / "key.pem", root=folder / "root.pem")

    return make
