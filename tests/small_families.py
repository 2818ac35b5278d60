"""The published families at the recordings' size, and a pack that takes them for the published ones.

Nothing of the pack is imported here: a host has it under another name, and hands its modules in by `load`.
"""

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

Load = Callable[[str], ModuleType]
"""Gives a module of the pack by its name inside it, "models.config" for example."""

SIDE_PX = 128
_VOICE = {"width": 24, "heads": 4, "feedforward_width": 32, "position_kernel": 16, "position_groups": 4}


def _small(config: Any, **parts: dict[str, Any]) -> Any:
    parts = {
        "spatial": {"channels": (32, 64, 64, 64), "heads": 4, "norm_groups": 8},
        "defaults": {"width_px": SIDE_PX, "height_px": SIDE_PX, "steps": 2},
        **parts,
    }
    return replace(config, **{name: replace(getattr(config, name), **own) for name, own in parts.items()})


def small_families(load: Load) -> dict[str, Any]:
    """The families that were recorded, by their short names."""
    named = load("models.checkpoints.tables").family_named
    windows = {"temporal": {"frames_per_clip": 4}, "loop": {"overlap_frames": 1}}
    sizes: dict[str, dict[str, Any]] = {
        "hallo": {
            "temporal": {"frames_per_clip": 4},
            "context": {"token_width": 32, "embedding_width": 16},
            "audio": {"feature_width": 3 * 24, "hidden_width": 16, "tokens": 6, "token_width": 40},
        },
        "echomimic": windows,
        "echomimic-acc": windows,
        "echomimic-pose": windows,
        "v-express": {
            "temporal": {"frames_per_clip": 4},
            "loop": {"overlap_frames": 1, "noise_skip": 2},
            "context": {"token_width": 40},
            "audio": {"feature_width": 24, "token_width": 40},
            "resampler": {"layers": 2, "heads": 4, "head_width": 8, "feed_forward_multiplier": 2},
        },
    }
    return {
        name: replace(named(name), config=_small(named(name).config, **parts))
        for name, parts in sizes.items()
    }


def small_voice_encoder_config(load: Load, layers: int = 3) -> Any:
    """wav2vec2-base's layout, small."""
    base = load("models.voice_encoder_config").VoiceEncoderConfig.wav2vec2_base()
    return replace(base, layers=layers, conv_channels=(16,) * 7, **_VOICE)


def small_autoencoder(load: Load) -> Any:
    """sd-vae-ft-mse's layout, small, with random weights."""
    return load("models.picture_autoencoder").PictureAutoencoder((8, 8, 16, 16), 4).eval()


def shrink(load: Load, put: Callable[[ModuleType, str, Any], object] = setattr) -> None:
    """Let the pack take small files for the published ones: names and keys stay, widths shrink."""
    families = tuple(small_families(load).values())
    commands = ("commands.convert", "commands.inspect")
    for name in ("models.checkpoints.tables", "models.checkpoints.open_model", *commands):
        put(load(name), "FAMILIES", families)
    external, voice = load("models.checkpoints.external_files"), small_voice_encoder_config(load)
    spectrogram = load("models.spectrogram_encoder").SpectrogramEncoderConfig(positions=50, layers=4)
    put(external, "PictureAutoencoder", lambda: small_autoencoder(load))
    put(external, "VoiceEncoderConfig", SimpleNamespace(wav2vec2_base=lambda: voice))
    put(external, "SpectrogramEncoderConfig", lambda: spectrogram)
