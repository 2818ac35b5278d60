"""Files of weights: what is written is read, and what cannot be read is named."""

import json
import pickle
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from comfyui_emo.errors import InputError, WeightsError
from comfyui_emo.models.avatar import avatar_config
from comfyui_emo.models.build import build_networks
from comfyui_emo.models.checkpoints.emo import load_model, save_model
from comfyui_emo.models.config import EmoConfig


@pytest.fixture(scope="module")
def tiny():
    config = avatar_config()
    spatial = replace(config.spatial, channels=(16,), attention_levels=(True,))
    torch.manual_seed(0)
    return build_networks(replace(config, spatial=spatial, autoencoder=None, voice_encoder=None))


@pytest.fixture
def saved(tiny, tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, tiny, {"steps": 7})
    return path


def test_a_model_comes_back_with_its_configuration_and_record(tiny, saved):
    loaded = load_model(saved)
    assert loaded.config == tiny.config
    assert loaded.training == {"steps": 7}
    for name, value in tiny.state_dict().items():
        restored = loaded.networks.state_dict()[name]
        assert restored.dtype == torch.float32
        torch.testing.assert_close(restored, value.half().float())


def test_a_configuration_survives_json():
    for config in (EmoConfig(), avatar_config()):
        assert EmoConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_an_unknown_setting_is_named():
    values = EmoConfig().to_dict()
    values["spatial"]["flavour"] = 1
    with pytest.raises(InputError, match="flavour"):
        EmoConfig.from_dict(values)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match="nowhere.safetensors, which does not exist"):
        load_model(tmp_path / "nowhere.safetensors")


def test_a_truncated_file_is_called_incomplete(saved):
    saved.write_bytes(saved.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match="may be incomplete"):
        load_model(saved)


def test_another_architecture_is_told_by_its_tensors(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match="model.diffusion_model.input_blocks"):
        load_model(path)


def test_tensors_that_do_not_fit_the_configuration_are_listed(tiny, saved, tmp_path):
    tensors = load_file(saved)
    tensors["backbone.conv_in.weight"] = torch.zeros(1)
    del tensors["backbone.conv_out.bias"]
    path = tmp_path / "bent.safetensors"
    metadata = {"format": "comfyui-emo model 1", "config": json.dumps(tiny.config.to_dict())}
    save_file(tensors, path, metadata)
    with pytest.raises(WeightsError, match=r"backbone.conv_out.bias.*backbone.conv_in.weight \[1\]"):
        load_model(path)


class Bomb:
    target: str

    def __reduce__(self):
        return (open, (Bomb.target, "w"))


@pytest.mark.parametrize("name", ["model.ckpt", "model.safetensors"])
def test_a_pickle_is_never_executed(name, tmp_path):
    Bomb.target = str(tmp_path / "executed")
    path = tmp_path / name
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(WeightsError):
        load_model(path)
    assert not (tmp_path / "executed").exists()
