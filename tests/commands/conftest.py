"""A tiny model with fresh weights, and what it shall animate."""

import wave
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from comfyui_emo.cli import main
from comfyui_emo.models.avatar import avatar_config
from comfyui_emo.models.build import build_networks
from comfyui_emo.models.checkpoints.emo import save_model
from comfyui_emo.models.config import EmoConfig

TRAINING_RECORD = {"commit": "0123abc", "steps": {"image": 3, "video": 2}}


def tiny_config() -> EmoConfig:
    config = replace(avatar_config(), appearance=None)
    voice = replace(
        config.voice_encoder,
        layers=1, width=16, heads=2, feedforward_width=16, conv_channels=(16,) * 7, position_groups=2,
    )  # fmt: skip
    return replace(
        config,
        name="tiny",
        spatial=replace(config.spatial, channels=(16, 24), attention_levels=(True, True)),
        audio=replace(config.audio, feature_width=16, hidden_width=16, tokens=2, token_width=16),
        temporal=replace(config.temporal, frames_per_clip=4, motion_frames=2),
        autoencoder=replace(
            config.autoencoder, channels=(16, 16, 16), encoder_layers=(1, 1), decoder_layers=(1, 1, 1)
        ),
        voice_encoder=voice,
        defaults=replace(config.defaults, width_px=64, height_px=64, steps=2),
    )


@pytest.fixture(scope="session")
def model_path(tmp_path_factory) -> Path:
    """A model that draws noise, but draws it through every network."""
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    torch.manual_seed(0)
    networks = build_networks(tiny_config())
    # Fresh decoders give nearly one grey; a larger last layer makes their frames differ visibly.
    for layer in reversed(list(networks.autoencoder.decoder)):
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.normal_(layer.weight, std=0.3)
            break
    save_model(path, networks, TRAINING_RECORD)
    return path


@pytest.fixture
def portrait_path(tmp_path) -> Path:
    """A picture of 90x80 pixels that says where its face is."""
    pixels = np.random.default_rng(0).integers(0, 256, (80, 90, 3), dtype=np.uint8)
    chunks = PngInfo()
    chunks.add_text("face_region", "20,15,40,45")
    Image.fromarray(pixels).save(tmp_path / "portrait.png", pnginfo=chunks)
    return tmp_path / "portrait.png"


def _write_wav(path: Path, seconds: float, rate_hz: int = 16000) -> Path:
    tone = 8000 * np.sin(np.arange(round(seconds * rate_hz)) * 2 * np.pi * 220 / rate_hz)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(tone.astype("<i2").tobytes())
    return path


@pytest.fixture
def wav_of(tmp_path):
    """Write a tone of so many seconds."""
    return lambda name, seconds: _write_wav(tmp_path / name, seconds)


@pytest.fixture
def voice_path(wav_of) -> Path:
    """0.22 s: 6 frames at 25 fps, two clips of the tiny model."""
    return wav_of("voice.wav", 0.22)


@pytest.fixture
def out_folder(tmp_path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def talk(model_path, portrait_path, voice_path, out_folder):
    """Run `comfyui-emo talk` with further or other options; one set to None is left away, True is a flag."""

    def run(**options) -> int:
        given = {
            "image": portrait_path,
            "audio": voice_path,
            "out": out_folder / "talking.mp4",
            "model": model_path,
            "device": "cpu",
            **options,
        }
        command = ["talk"]
        for name, value in given.items():
            if value is not None:
                command += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
        return main(command)

    return run


@pytest.fixture
def streams():
    """Every packet of a file: what its credentials, whose date and numbers are new each time, leave aside."""

    def packets(path: Path) -> list[tuple]:
        with av.open(str(path)) as container:
            return [
                (packet.stream.type, packet.pts, packet.dts, bytes(packet)) for packet in container.demux()
            ]

    return packets
