"""`comfyui-emo inspect`: what it says of a model, and of files that are none."""

import json

import pytest
import torch
from safetensors.torch import save_file

from comfyui_emo.cli import main
from comfyui_emo.models.build import parameter_count
from comfyui_emo.models.checkpoints.emo import load_model


def test_json_says_what_the_file_holds(model_path, capsys):
    assert main(["inspect", str(model_path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    model = load_model(model_path)
    assert (said["file"], said["size_bytes"]) == (str(model_path), model_path.stat().st_size)
    assert said["parameters"]["backbone"] == parameter_count(model.networks.backbone)
    assert said["parameters"]["total"] == parameter_count(model.networks)
    # BatchNorm's running mean, variance and count of the latents are stored, but are no parameters.
    statistics = 2 * model.config.spatial.latent_channels
    assert said["stored_as"] == {"F16": parameter_count(model.networks) + statistics, "I64": 1}
    assert said["training"] == {"commit": "0123abc", "steps": {"image": 3, "video": 2}}
    assert said["configuration"] == json.loads(json.dumps(model.config.to_dict()))


def test_text_says_the_same_in_lines(model_path, capsys):
    assert main(["inspect", str(model_path)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    total = f"{parameter_count(load_model(model_path).networks):,}"
    for line in (["total", total], ["steps.image", "3"], ["temporal.frames_per_clip", "4"], ["name", "tiny"]):
        assert line in lines


SAFETENSORS_START = (60).to_bytes(8, "little") + b'{"a": {"dtype": "F16"'


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "an empty file"),
        (b"PK\x03\x04 data.pkl", "a zip archive, as torch.save writes its pickles"),
        (b"\x80\x02}q\x00.", "a Python pickle"),
        (b"<!DOCTYPE html><title>Not found", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer"),
        (SAFETENSORS_START, "a safetensors file that is damaged or cut short"),
        (b"hello, I am a file", "no safetensors file (it starts with b'hello, I')"),
    ],
)
def test_a_file_that_is_no_safetensors(tmp_path, capsys, content, kind):
    (tmp_path / "file.safetensors").write_bytes(content)
    assert main(["inspect", str(tmp_path / "file.safetensors")]) == 2
    output = capsys.readouterr()
    assert f"file.safetensors, which seems to be {kind}" in output.err
    assert output.out == ""


@pytest.mark.parametrize(
    ("name", "metadata", "kind"),
    [
        ("model.diffusion_model.out.2.weight", None, "a Stable Diffusion checkpoint"),
        ("down_blocks.0.resnets.0.conv1.weight", None, "a UNet of diffusers"),
        ("a", {"format": "pt"}, "a safetensors file that states to be 'pt' with 1 tensors (a, ...)"),
        ("a", {"kind": "avatar_detector"}, "a safetensors file that states to be 'avatar_detector'"),
    ],
)
def test_a_file_of_other_tensors(tmp_path, capsys, name, metadata, kind):
    save_file({name: torch.zeros(1)}, tmp_path / "other.safetensors", metadata)
    assert main(["inspect", str(tmp_path / "other.safetensors")]) == 2
    assert f"which seems to be {kind}" in capsys.readouterr().err


def test_a_file_that_is_not_there(tmp_path, capsys):
    assert main(["inspect", str(tmp_path / "none.safetensors")]) == 2
    assert "none.safetensors, which does not exist" in capsys.readouterr().err


def test_a_model_with_a_tensor_missing(tmp_path, model_path, capsys):
    from safetensors import safe_open

    with safe_open(model_path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in list(file.keys())[1:]}
        save_file(tensors, tmp_path / "holed.safetensors", file.metadata())
    assert main(["inspect", str(tmp_path / "holed.safetensors")]) == 2
    assert "holed.safetensors with missing tensors" in capsys.readouterr().err
