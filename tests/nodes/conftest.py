"""A tiny model of random weights in a file, and what a host hands to the blocks."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from comfyui_emo import NODE_CLASS_MAPPINGS
from comfyui_emo.errors import InputError
from comfyui_emo.models.autoencoder_config import AutoencoderConfig
from comfyui_emo.models.avatar import avatar_config
from comfyui_emo.models.build import build_networks
from comfyui_emo.models.checkpoints import emo
from comfyui_emo.models.config import EmoConfig
from comfyui_emo.models.voice_encoder_config import VoiceEncoderConfig

LATENT_CHANNELS = 4


def tiny_config() -> EmoConfig:
    """Every part of the architecture, each as small as it can be."""
    config = replace(avatar_config(), appearance=None)
    voice = VoiceEncoderConfig(
        layers=1, width=8, heads=2, feedforward_width=8,
        conv_channels=(8,) * 7, position_kernel=3, position_groups=2,
    )
    return replace(
        config,
        spatial=replace(
            config.spatial, latent_channels=LATENT_CHANNELS, channels=(8, 16), attention_levels=(True, True)
        ),
        audio=replace(config.audio, feature_width=8, hidden_width=8, tokens=2, token_width=8),
        temporal=replace(config.temporal, frames_per_clip=4, motion_frames=2),
        locator=replace(config.locator, channels=(4, 8)),
        defaults=replace(config.defaults, width_px=32, height_px=32, fps=25.0, steps=2),
        autoencoder=AutoencoderConfig(LATENT_CHANNELS, (8, 8, 8), (1, 1), (1, 1, 1)),
        voice_encoder=voice,
    )


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    networks = build_networks(tiny_config())
    for parameter in networks.parameters():  # the zero-initialised ones too, so that every condition acts
        torch.nn.init.normal_(parameter, std=0.15)
    emo.save_model(path, networks, {"steps": 0})
    return path


@pytest.fixture
def workplace(tmp_path, tiny_weights, monkeypatch) -> Path:
    """A working folder as the blocks find it without a host, with the tiny model in models/emo."""
    monkeypatch.chdir(tmp_path)
    # A folder of torch's own that holds no detector, whatever lies on this machine.
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "models" / "emo"
    folder.mkdir(parents=True)
    (folder / "tiny.safetensors").symlink_to(tiny_weights)
    return tmp_path


@pytest.fixture
def image() -> torch.Tensor:
    """The host's IMAGE [1, 48, 40, 3]."""
    return torch.rand(1, 48, 40, 3, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def audio() -> dict:
    """The host's AUDIO: 0.5 s of stereo at 8 kHz."""
    seconds = torch.arange(4000) / 8000
    tone = 0.3 * torch.sin(2 * torch.pi * 220 * seconds)
    return {"waveform": torch.stack([tone, 0.5 * tone])[None], "sample_rate": 8000}


def run_block(node_id: str, **inputs):
    """Execute a block as the host does: widgets that are not given hold their defaults."""
    node_class = NODE_CLASS_MAPPINGS[node_id]
    declared = node_class.INPUT_TYPES()["required"]
    widgets = {name: spec[1]["default"] for name, spec in declared.items() if "default" in spec[1]}
    return getattr(node_class(), node_class.FUNCTION)(**{**widgets, **inputs})


@pytest.fixture
def run():
    """Executes a block by its id: `run("EMOTalk", image=..., audio=...)`."""
    return run_block


@pytest.fixture
def refused():
    """Executes a block that must refuse its inputs, and gives the error's text."""

    def text_of_error(node_id: str, **inputs) -> str:
        with pytest.raises(InputError) as caught:
            run_block(node_id, **inputs)
        assert caught.value.do
        return str(caught.value)

    return text_of_error
