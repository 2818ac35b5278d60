"""The host's AUDIO as a voice: the same samples as if its channels had been averaged, and no copy of them."""

import hashlib
import logging

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from comfyui_emo.errors import InputError
from comfyui_emo.steps.graph_sound import audio_at_common_loudness, fit_voice, voice_of_audio
from comfyui_emo.steps.voice import Voice

RATE_HZ = 16000


def audio(channels: int, seconds: float) -> dict:
    noise = torch.randn(1, channels, round(seconds * RATE_HZ), generator=torch.Generator().manual_seed(0))
    return {"waveform": 0.1 * noise, "sample_rate": RATE_HZ}


def heard(voice) -> torch.Tensor:
    return torch.cat(list(voice.blocks()))


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_it_is_the_mean_of_the_channels_and_copies_none_of_them(channels):
    given_audio = audio(channels, 10.3)
    voice, mean = voice_of_audio(given_audio), given_audio["waveform"][0].mean(0)
    assert torch.equal(heard(voice), mean) and voice.duration_s == 10.3
    assert voice.waveform.data_ptr() == given_audio["waveform"].data_ptr()
    assert voice.digest == Voice(mean, RATE_HZ, "").digest == hashlib.sha256(mean.numpy().data).hexdigest()
    assert torch.equal(heard(voice.amplified(0.5).amplified(0.5)), 0.25 * mean)


@given(st.floats(0.1, 12), st.integers(1, 300), st.sampled_from([8, 25, 29.97, 60]))
def test_it_is_cut_or_followed_by_silence(seconds, frame_count, fps):
    voice = voice_of_audio(audio(2, seconds))
    fitted = fit_voice(voice, frame_count, fps)
    samples, before = heard(fitted), heard(voice)
    assert len(samples) == fitted.sample_count
    assert abs(fitted.duration_s - frame_count / fps) <= 1 / fps + 1e-3 * fitted.duration_s
    shared = min(len(samples), len(before))
    assert torch.equal(samples[:shared], before[:shared]) and not samples[shared:].any()


def test_a_cut_is_said(caplog):
    fit_voice(voice_of_audio(audio(1, 2.0)), 25, 25)
    assert "25 frames at 25 fps last 1.00 s, the audio 2.00 s: the audio is cut" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO):
        fit_voice(voice_of_audio(audio(1, 1.0)), 25, 25)
    assert caplog.text == ""


def test_silence_keeps_its_level():
    silent = {"waveform": torch.zeros(1, 2, RATE_HZ), "sample_rate": RATE_HZ}
    assert not audio_at_common_loudness(silent)["waveform"].any()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"waveform": torch.zeros(2, 1, RATE_HZ)}, "an AUDIO of shape \\[2, 1, 16000\\]"),
        ({"waveform": torch.zeros(1, 1, 9)}, "a voice of 0.0005625 s"),
        ({"waveform": torch.full((1, 2, RATE_HZ), float("nan"))}, "NaN or infinite samples"),
        ({"sample_rate": 0}, "an AUDIO at 0 Hz"),
    ],
)
def test_audio_that_cannot_be_heard(wrong, message):
    with pytest.raises(InputError, match=message):
        voice_of_audio({**audio(1, 1.0), **wrong})
