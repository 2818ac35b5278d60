"""The level of a voice, in memory or in its file."""

import logging

import pytest
import torch

from comfyui_emo.errors import InputError
from comfyui_emo.steps.loudness import normalise_loudness
from comfyui_emo.steps.voice import Voice, open_voice, read_voice


def test_loudness_counts_speech_and_not_pauses():
    tone = 0.05 * torch.sin(torch.arange(16000) * 0.3)
    with_pause = Voice(torch.cat([tone, torch.zeros(48000)]), 16000, "test")
    levelled = normalise_loudness(with_pause, -20)
    assert float(levelled.samples[:16000].square().mean().sqrt()) == pytest.approx(0.1, rel=0.01)


def test_loudness_never_clips(caplog):
    spiky = torch.full((16000,), 0.01)
    spiky[100] = 0.5
    with caplog.at_level(logging.INFO):
        levelled = normalise_loudness(Voice(spiky, 16000, "test"), -10)
    assert float(levelled.samples.abs().max()) == pytest.approx(1.0)
    assert "gain held back" in caplog.text


def test_silence_stays_silent(caplog):
    silent = Voice(torch.zeros(16000), 16000, "test")
    assert normalise_loudness(silent) is silent
    assert "test is silent" in caplog.text


def test_loudness_above_full_scale_is_refused():
    with pytest.raises(InputError, match="target 3 dBFS"):
        normalise_loudness(Voice(torch.zeros(16000), 16000, "test"), 3)


def test_loudness_of_a_voice_in_its_file(write_sound, speech):
    path = write_sound("a.wav", speech, 44100)
    in_file, in_memory = normalise_loudness(open_voice(path)), normalise_loudness(read_voice(path))
    torch.testing.assert_close(torch.cat(list(in_file.blocks())), in_memory.samples)


def test_the_last_window_counts_though_it_is_short():
    voice = Voice(torch.cat([torch.full((800,), 0.01), torch.full((7,), 0.3)]), 16000, "test")
    gain = 0.1 / ((0.01**2 + 0.3**2) / 2) ** 0.5
    assert float(normalise_loudness(voice, -20).samples.max()) == pytest.approx(0.3 * gain)
