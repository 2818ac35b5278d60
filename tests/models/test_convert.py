"""Published files become one file, which is the same model."""

import pytest
import torch
from families import SMALL_ECHOMIMIC, small_assembly
from safetensors.torch import load_file, save_file

from comfyui_emo.errors import InputError
from comfyui_emo.models.checkpoints.convert import convert
from comfyui_emo.models.checkpoints.external_files import autoencoder_from
from comfyui_emo.models.checkpoints.families import fill_networks
from comfyui_emo.models.checkpoints.open_model import open_model
from comfyui_emo.models.checkpoints.weight_source import open_weights
from comfyui_emo.models.picture_autoencoder import PictureAutoencoder


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_converted_model_is_the_same_model(dtype, tmp_path):
    assembly = small_assembly(SMALL_ECHOMIMIC)
    seen = []
    path = tmp_path / "echomimic.safetensors"
    convert(assembly, path, dtype, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(assembly.tensors), len(assembly.tensors))
    assert [file.name for file in tmp_path.iterdir()] == ["echomimic.safetensors"]
    model = open_model(path)
    assert model.config == SMALL_ECHOMIMIC.config
    assert model.training["licence"] == SMALL_ECHOMIMIC.licence
    wanted = fill_networks(assembly, dtype).state_dict()
    assert load_file(path).keys() == wanted.keys()
    for name, value in model.networks.state_dict().items():
        assert value.dtype == dtype and torch.equal(value, wanted[name]), name


def test_a_precision_that_is_no_models_is_refused(tmp_path):
    with pytest.raises(InputError, match="float8_e4m3fn.*--dtype float16"):
        convert(small_assembly(SMALL_ECHOMIMIC), tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_the_autoencoder_of_old_names_is_read(tmp_path):
    torch.manual_seed(0)
    wanted = PictureAutoencoder((8, 16), 4)
    old = {
        name.removeprefix("vae.")
        .replace(".to_q.", ".query.")
        .replace(".to_k.", ".key.")
        .replace(".to_v.", ".value.")
        .replace(".to_out.0.", ".proj_attn."): value
        for name, value in wanted.state_dict().items()
    }
    assert any(".query." in name for name in old)
    save_file(old, tmp_path / "vae.safetensors")
    read = autoencoder_from(open_weights(tmp_path / "vae.safetensors"), PictureAutoencoder((8, 16), 4))
    for name, value in wanted.state_dict().items():
        assert torch.equal(read.state_dict()[name], value)
    pixels = torch.rand(2, 3, 16, 16)
    assert read.decode(read.encode(pixels)).shape == pixels.shape
