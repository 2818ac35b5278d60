"""Files that are no model, or not the right one: what every command says of them."""

import pytest
import torch
from families import SMALL, load_module, write_published
from safetensors.torch import save_file
from small_families import shrink

from comfyui_emo.cli import main

CHECKPOINT = "model.diffusion_model.input_blocks.0.0.weight"
LORA = "lora_unet_down_blocks_0_attentions_0.lora_up.weight"


@pytest.fixture(autouse=True)
def _small_files_are_the_published_ones(monkeypatch):
    shrink(load_module, monkeypatch.setattr)


def half_downloaded(folder):
    write_published(folder, SMALL["echomimic"])
    path = folder / "denoising_unet.pth"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def of_another_family(folder):
    write_published(folder, SMALL["echomimic"])
    write_published(folder.parent / "other", SMALL["v-express"])
    (folder.parent / "other" / "denoising_unet.pth").replace(folder / "denoising_unet.pth")


def text_to_image(folder):
    folder.mkdir()
    save_file({CHECKPOINT: torch.zeros(2, 4, 3, 3)}, folder / "net.safetensors")


def lora(folder):
    folder.mkdir()
    save_file({LORA: torch.zeros(2, 4)}, folder / "net.safetensors")


def two_precisions(folder):
    write_published(folder, SMALL["hallo"])
    tensors = torch.load(folder / "net.pth", weights_only=True)
    name = next(iter(tensors))
    torch.save({**tensors, name: tensors[name].float()}, folder / "net.pth")


WANTED = "Allowed: the published files of a family: Hallo, Hallo2 (MIT): net from https://"
# What lies in the folder -> what it seems to be, and what is wanted.
CASES = {
    half_downloaded: ("denoising_unet.pth (", "half-downloaded"),
    of_another_family: (
        "denoising_unet.pth seems to be V-Express's denoising network",
        "put denoising_unet from https://huggingface.co/BadToBest/EchoMimic into",
    ),
    text_to_image: ("net.safetensors seems to be a text-to-image checkpoint (Stable Diffusion)", WANTED),
    lora: ("net.safetensors seems to be a LoRA", WANTED),
}


@pytest.mark.parametrize("command", ["talk", "convert", "inspect"])
@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_a_folder_that_is_no_model_is_told_what_it_seems_to_be(
    make, command, talk, tmp_path, out_folder, capsys
):
    folder = tmp_path / "model"
    make(folder)
    if command == "talk":
        assert talk(model=folder) == 2
    elif command == "convert":
        assert main(["convert", str(folder), "--out", str(out_folder / "one.safetensors")]) == 2
    else:
        assert main(["inspect", str(folder)]) == 2
    said = capsys.readouterr().err
    assert all(words in said for words in CASES[make]), said
    assert not list(out_folder.iterdir())


@pytest.mark.parametrize("command", ["talk", "convert"])
def test_two_precisions_side_by_side_are_told(command, talk, tmp_path, out_folder, capsys):
    two_precisions(tmp_path / "model")
    if command == "talk":
        assert talk(model=tmp_path / "model") == 2
    else:
        assert main(["convert", str(tmp_path / "model"), "--out", str(out_folder / "one.safetensors")]) == 2
    said = capsys.readouterr().err
    assert "float16 and 1 float32 tensors side by side, a half-converted file" in said
    assert "comfyui-emo convert --dtype float16" in said and not list(out_folder.iterdir())
    files = [str(tmp_path / "model"), "--out", str(out_folder / "one.safetensors"), "--dtype", "float16"]
    assert main(["convert", *files]) == 0  # as the error says
    assert main(["inspect", str(tmp_path / "model")]) == 0
    assert "F16" in (text := capsys.readouterr().out) and "F32" in text


@pytest.mark.parametrize("ending", [".pth", ".ckpt", ".bin", ".safetensors"])
def test_a_single_lora_is_told_by_every_command(ending, talk, tmp_path, out_folder, capsys):
    path = tmp_path / f"style{ending}"
    tensors = {LORA: torch.zeros(2, 4)}
    save_file(tensors, path) if ending == ".safetensors" else torch.save(tensors, path)
    for run in (
        lambda: talk(model=path),
        lambda: main(["convert", str(path), "--out", str(out_folder / "one.safetensors")]),
        lambda: main(["inspect", str(path)]),
    ):
        assert run() == 2
        said = capsys.readouterr().err
        assert "a LoRA" in said and "Hallo" in said, said
