"""Voices that a model of published weights cannot hear at once, refused before anything is computed."""

import re

import pytest
import torch

from comfyui_emo.errors import InputError
from comfyui_emo.models.checkpoints.tables import family_named
from comfyui_emo.models.spectrogram_encoder import SpectrogramEncoder, SpectrogramEncoderConfig
from comfyui_emo.models.voice_encoder import VoiceEncoder, VoiceEncoderConfig
from comfyui_emo.steps.memory import LivingTensors
from comfyui_emo.steps.timeline import Timeline
from comfyui_emo.steps.voice_memory import check_voice_fits
from comfyui_emo.steps.voice_rows import voice_rows

CPU = torch.device("cpu")


def encoder_of(name: str) -> VoiceEncoder | SpectrogramEncoder:
    """A family's encoder at the published size, without weights."""
    with torch.device("meta"):
        if name == "echomimic":
            return SpectrogramEncoder(SpectrogramEncoderConfig())
        return VoiceEncoder(VoiceEncoderConfig.wav2vec2_base())


def timeline_of(name: str, seconds: float) -> Timeline:
    config = family_named(name).config
    return Timeline(round(16000 * seconds), 16000, config.defaults.fps, config.temporal.frames_per_clip)


@pytest.mark.parametrize("name", ["hallo", "echomimic", "v-express"])
def test_four_hours_are_refused_and_half_a_minute_is_not(name):
    config, encoder, free = family_named(name).config, encoder_of(name), 16 * 10**9
    check_voice_fits(encoder, config, timeline_of(name, 30), CPU, free=free)
    message = r"16\.00 GB free on cpu, for a voice of 240\.0 minutes, all of which .* holds at once: \d+\.\d"
    with pytest.raises(InputError, match=message) as refused:
        check_voice_fits(encoder, config, timeline_of(name, 4 * 3600), CPU, free=free)
    minutes = float(re.search(r"less than (\S+) minutes", str(refused.value))[1])
    check_voice_fits(encoder, config, timeline_of(name, 60 * 0.98 * minutes), CPU, free=free)
    with pytest.raises(InputError):
        check_voice_fits(encoder, config, timeline_of(name, 60 * 1.02 * minutes), CPU, free=free)


def test_the_estimate_is_what_a_voice_takes_here():
    config, small = family_named("hallo").config, VoiceEncoder(VoiceEncoderConfig()).eval()
    timeline = timeline_of("hallo", 6)
    with torch.inference_mode(), LivingTensors() as living:
        voice_rows(small, torch.randn(96000), timeline.frame_count, timeline.fps, config.audio)
    check_voice_fits(small, config, timeline, CPU, free=round(1.1 * living.peak))
    with pytest.raises(InputError):
        check_voice_fits(small, config, timeline, CPU, free=round(0.9 * living.peak))


def test_a_device_that_does_not_say_is_trusted():
    config, nowhere = family_named("hallo").config, torch.device("meta")
    check_voice_fits(encoder_of("hallo"), config, timeline_of("hallo", 10**6), nowhere)
