"""`comfyui-emo inspect` on published files and on what `comfyui-emo convert` made of them."""

import json
from dataclasses import asdict

import pytest
import torch
from families import SMALL, load_module, small_networks, write_published
from small_families import shrink

from comfyui_emo.cli import main
from comfyui_emo.models.build import parameter_count
from comfyui_emo.models.checkpoints.tables import family_named


@pytest.fixture(autouse=True)
def _small_files_are_the_published_ones(monkeypatch):
    shrink(load_module, monkeypatch.setattr)


@pytest.fixture
def inspected(capsys):
    """What `inspect --json` says of a path."""

    def run(path, *options: str) -> dict:
        capsys.readouterr()
        assert main(["inspect", str(path), "--json", *options]) == 0
        return json.loads(capsys.readouterr().out)

    return run


def counts_of(family) -> dict[str, int]:
    parts = ("reference_net", "backbone", "audio_projection", "identity_projection")
    networks = small_networks(family)
    found = {name: getattr(networks, name) for name in parts}
    counts = {name: parameter_count(part) for name, part in found.items() if part is not None}
    counts = {name: count for name, count in counts.items() if count}
    return {**counts, "total": sum(counts.values())}


def only_type(stored: dict[str, int]) -> str:
    (kind,) = stored
    return kind


@pytest.mark.parametrize("name", ["hallo", "v-express"])
def test_published_files_and_the_converted_one_are_described_alike(tmp_path, inspected, name):
    folder, one = tmp_path / "model", tmp_path / "one.safetensors"
    write_published(folder, SMALL[name])
    assert main(["convert", str(folder), "--out", str(one), "--dtype", "bfloat16"]) == 0
    published, converted = inspected(folder), inspected(one)
    assert (published["kind"], converted["kind"]) == ("published", "converted")
    assert only_type(published["stored_as"]) == "F16" and only_type(converted["stored_as"]) == "BF16"
    assert converted["size_bytes"] == one.stat().st_size
    family = family_named(name)
    for said in (published, converted):
        assert (said["family"], said["licence"], said["source"]) == (name, family.licence, family.source)
        assert said["parameters"] == counts_of(SMALL[name])
        assert said["defaults"] == json.loads(json.dumps(asdict(SMALL[name].config.defaults)))
        assert [file["name"] for file in said["needs"]] == ["sd-vae-ft-mse", "wav2vec2-base-960h"]
        assert set(said["files"]) == {path.name for path in folder.glob("*.pth")}


def test_text_says_family_licence_and_defaults(tmp_path, capsys):
    write_published(tmp_path, SMALL["hallo"])
    assert main(["inspect", str(tmp_path / "net.pth")]) == 0
    text = capsys.readouterr().out
    assert text.startswith("hallo, as published (net.pth): ") and "values stored as F16" in text
    assert "Hallo, Hallo2, licence of the weights: MIT; by default 2 steps of ddim" in text
    assert "it still needs sd-vae-ft-mse (MIT" in text
    lines = [line.split() for line in text.splitlines()]
    assert ["total", f"{counts_of(SMALL['hallo'])['total']:,}"] in lines
    assert ["temporal.frames_per_clip", "4"] in lines


def test_one_file_of_several_says_whose_it_is_and_what_belongs_to_it(tmp_path, inspected, capsys):
    write_published(tmp_path, SMALL["echomimic"], torch.float32)
    said = inspected(tmp_path / "reference_unet.pth")
    assert said["kind"] == "part of a published model"
    assert said["seems_to_be"] == "EchoMimic's reference network"
    assert {entry["family"] for entry in said["part_of"]} == {"echomimic", "echomimic-acc"}
    assert said["part_of"][0]["with"] == ["motion_module", "denoising_unet", "face_locator"]
    assert set(said["parameters"]) == {"reference_net", "total"} and only_type(said["stored_as"]) == "F32"
    assert said["parameters"]["total"] == counts_of(SMALL["echomimic"])["reference_net"]
    assert main(["inspect", str(tmp_path / "reference_unet.pth")]) == 0
    text = capsys.readouterr().out
    assert "reference_unet of EchoMimic (echomimic), licence of the weights: Apache-2.0" in text


def test_a_folder_of_several_models_wants_a_choice(tmp_path, inspected, capsys):
    write_published(tmp_path, SMALL["echomimic"])
    for name in ("denoising_unet", "motion_module"):
        (tmp_path / f"{name}_acc.pth").write_bytes((tmp_path / f"{name}.pth").read_bytes())
    assert main(["inspect", str(tmp_path)]) == 2
    assert "--family" in capsys.readouterr().err
    assert inspected(tmp_path, "--family", "echomimic-acc")["family"] == "echomimic-acc"


def test_what_no_family_publishes_is_told_by_what_it_seems_to_be(tmp_path, capsys):
    torch.save({"model.diffusion_model.out.2.weight": torch.zeros(1)}, tmp_path / "sd.ckpt")
    assert main(["inspect", str(tmp_path / "sd.ckpt")]) == 2
    assert "sd.ckpt seems to be a text-to-image checkpoint" in capsys.readouterr().err
