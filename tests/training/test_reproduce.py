"""The one command that makes the bundled weights, with a few steps of everything."""

import json
from pathlib import Path

import pytest
import torch

from comfyui_emo.models.checkpoints.emo import load_model
from comfyui_emo.training.reproduce import Reproduction
from comfyui_emo.training.reproduction_plan import SHORT_PLAN

pytest.importorskip(
    "espeakng_loader", reason="synthetic speech needs espeakng-loader: pip install .[training]"
)


def test_a_shortened_run_makes_a_model_file_and_picks_up_where_it_was(tmp_path, monkeypatch):
    out = tmp_path / "model.safetensors"
    Reproduction(tmp_path / "work", SHORT_PLAN).bundle(out)
    model = load_model(out)
    assert model.training["plan"]["stage_steps"] == list(SHORT_PLAN.stage_steps)
    assert model.networks.voice_encoder is not None and model.networks.autoencoder is not None
    weights = {name: value.clone() for name, value in model.networks.state_dict().items()}

    def never(*arguments, **settings):
        raise AssertionError("a finished step was done again")

    for step in (
        "write_corpus",
        "pretrain",
        "draw_pictures",
        "train_autoencoder",
        "train_decoder",
        "train_decoder_on_predictions",
        "write_dataset",
    ):
        monkeypatch.setattr(f"comfyui_emo.training.reproduce.{step}", never)
    Reproduction(tmp_path / "work", SHORT_PLAN).bundle(out)
    again = load_model(out).networks.state_dict()
    assert all(torch.equal(again[name], value) for name, value in weights.items())


def test_the_bundled_weights_say_how_they_were_made():
    model = load_model()
    assert Path(model.path).stat().st_size < 24e6
    assert {"commit", "seeds", "plan"} <= json.loads(json.dumps(model.training)).keys()
