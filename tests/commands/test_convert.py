"""`comfyui-emo convert`, as its user sees it."""

import pytest
from families import FIXTURES, SMALL_ECHOMIMIC

from comfyui_emo.cli import main
from comfyui_emo.commands import convert


@pytest.fixture(autouse=True)
def _small_families(monkeypatch):
    monkeypatch.setattr(convert, "FAMILIES", (SMALL_ECHOMIMIC,))


def test_published_files_become_one_and_the_licence_is_told(tmp_path, capsys):
    files = [str(file) for file in (FIXTURES / "echomimic" / "weights").glob("*.safetensors")]
    output = tmp_path / "echomimic.safetensors"
    assert main(["convert", *files, "--out", str(output), "--dtype", "float16"]) == 0
    assert "EchoMimic" in (text := capsys.readouterr().out) and "licence of the weights: Apache-2.0" in text
    assert output.stat().st_size > 1e6


def test_files_of_no_family_leave_no_file(tmp_path, capsys):
    weights = FIXTURES / "v-express" / "weights" / "denoising_unet.safetensors"
    assert main(["convert", str(weights), "--out", str(tmp_path / "a.safetensors")]) == 2
    assert "V-Express's denoising network" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
