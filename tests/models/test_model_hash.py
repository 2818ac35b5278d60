"""A model's hash: of the files that it is made of, and read no more often than they change."""

import hashlib
import os
import time

import pytest
import torch
from families import SMALL, load_module, write_published
from small_families import shrink

from comfyui_emo.models.checkpoints import weight_file
from comfyui_emo.models.checkpoints.open_model import open_model
from comfyui_emo.models.checkpoints.weight_file import file_sha256


@pytest.fixture
def model(tmp_path, monkeypatch):
    shrink(load_module, monkeypatch.setattr)
    write_published(tmp_path / "hallo", SMALL["hallo"])
    return open_model(tmp_path / "hallo")


@pytest.fixture
def read(monkeypatch):
    """How many files were read for their hash."""
    made, real = [], hashlib.sha256
    monkeypatch.setattr(weight_file.hashlib, "sha256", lambda *given: made.append(1) or real(*given))
    return made


def test_the_hash_is_that_of_the_files_that_are_used(model):
    names = {path.name for path in model.files}
    assert names == {"net.pth", "diffusion_pytorch_model.safetensors", "pytorch_model.bin"}
    before = model.sha256
    torch.save({"body": torch.zeros(2)}, model.path / "upscaler.pth")
    assert open_model(model.path).sha256 == before
    vae = model.path / "sd-vae-ft-mse" / "diffusion_pytorch_model.safetensors"
    content = bytearray(vae.read_bytes())
    content[-1] ^= 1
    vae.write_bytes(content)
    assert model.sha256 != before


def test_a_file_alone_has_the_hash_of_its_content(tmp_path):
    (tmp_path / "a").write_bytes(b"weights")
    assert file_sha256(tmp_path / "a") == hashlib.sha256(b"weights").hexdigest()


def test_a_file_is_read_once_until_it_is_another(tmp_path, read):
    path = tmp_path / "weights"
    path.write_bytes(b"weights")
    first = file_sha256(path)
    assert file_sha256(path) == first and len(read) == 1
    stat = path.stat()
    time.sleep(0.02)  # file systems tell times in ticks of some milliseconds
    path.write_bytes(b"WEIGHTS")  # as long, and dated as before
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert file_sha256(path) != first and len(read) == 2
    (tmp_path / "other").write_bytes(b"weights")
    os.replace(tmp_path / "other", path)
    assert file_sha256(path) == first and len(read) == 3
