"""The bundled examples are complete, readable by the steps, and what their maker draws."""

from pathlib import Path

import pytest
import torch

from comfyui_emo.steps.portrait import read_portrait
from comfyui_emo.steps.voice import read_voice
from comfyui_emo.training.avatars.speech import HELD_OUT_VOICES
from comfyui_emo.training.make_assets import LOOKS, VOICES, draw_portrait

ASSETS = Path(__file__).resolve().parents[2] / "assets"


@pytest.mark.parametrize("name", ["ada", "goro"])
def test_a_bundled_portrait_is_the_one_drawn_and_says_where_its_face_is(name: str):
    portrait = read_portrait(ASSETS / "portraits" / f"{name}.png")
    pixels, region = draw_portrait(name)
    assert (portrait.pixels - pixels).abs().max() < 0.02
    assert portrait.face_region is not None
    found = portrait.face_region
    assert (found.x, found.y, found.width, found.height) == region


def test_portraits_differ_and_there_are_enough():
    assert sorted(path.stem for path in (ASSETS / "portraits").glob("*.png")) == sorted(LOOKS)
    assert len(LOOKS) >= 6
    pictures = torch.cat([read_portrait(ASSETS / "portraits" / f"{name}.png").pixels for name in LOOKS])
    differences = (pictures[:, None] - pictures[None]).abs().mean((2, 3, 4))
    assert differences[~torch.eye(len(LOOKS), dtype=torch.bool)].min() > 0.03


def test_voices_are_held_out_and_as_long_as_they_should_be():
    assert sorted(path.stem for path in (ASSETS / "voices").glob("*.flac")) == sorted(VOICES)
    readme = (ASSETS / "voices" / "README.md").read_text(encoding="utf-8")
    for name, example in VOICES.items():
        voice = read_voice(ASSETS / "voices" / f"{name}.flac")
        assert voice.sample_rate_hz == 16000 and 4 <= voice.duration_s <= 8
        assert 0.4 < float(voice.samples.abs().max()) < 0.9
        assert example.voice in HELD_OUT_VOICES
        assert f"{name}.flac" in readme and " ".join(example.sentences) in readme


def test_there_is_a_voice_with_pauses_and_one_that_is_sung():
    assert {"spoken", "sung"} <= {example.manner for example in VOICES.values()}
    (paused,) = (name for name, example in VOICES.items() if example.pause_s >= 0.5)
    samples = read_voice(ASSETS / "voices" / f"{paused}.flac").samples
    quiet = (samples.abs() < 1e-3).long()
    longest, run = 0, 0
    for value in quiet[samples.abs().argmax() :].tolist():
        run = run + 1 if value else 0
        longest = max(longest, run)
    assert longest >= 0.5 * 16000
