"""Speakers drawn at random: they differ, they are the same again, and espeak's own files stay as they are."""

import re
from pathlib import Path

import numpy as np
import pytest

from comfyui_emo.training.avatars import speech, visemes
from comfyui_emo.training.avatars.voice_variants import drawn_voices, variant_text

espeakng_loader = pytest.importorskip(
    "espeakng_loader", reason="espeakng-loader is not installed; it makes training speech only"
)
TEXT = "We judge this vision, boys."


def written(setting: str, number: int) -> float:
    """First number of a setting's line."""
    found = re.search(rf"^{setting} (\d+)", variant_text(number), re.MULTILINE)
    assert found
    return float(found[1])


def centre_hz(voice: str) -> float:
    """Centre of the spectrum up to 5 kHz."""
    samples = speech.synthesize(TEXT, voice).samples
    power = np.abs(np.fft.rfft(samples)) ** 2
    frequencies_hz = np.fft.rfftfreq(len(samples), 1 / speech.SAMPLE_RATE_HZ)
    low = frequencies_hz < 5000
    return float((power * frequencies_hz)[low].sum() / power[low].sum())


def test_a_number_is_a_speaker_and_another_number_another_one():
    assert variant_text(17) == variant_text(17)
    texts = {variant_text(number).partition("pitch")[2] for number in range(100)}
    assert len(texts) == 100


def test_speakers_take_the_dialects_in_turn_and_none_that_is_held_out():
    assert drawn_voices(("en-us", "en"), 3) == ("en-us+drawn0", "en+drawn1", "en-us+drawn2")
    dialects = {voice.partition("+")[0] for voice in speech.DRAWN_VOICES}
    assert dialects <= {voice.partition("+")[0] for voice in speech.TRAINING_VOICES}
    assert not set(speech.DRAWN_VOICES) & {*speech.TRAINING_VOICES, *speech.HELD_OUT_VOICES}


def test_drawn_speakers_are_heard_and_their_phones_are_known():
    overdriven = 0
    for voice in speech.DRAWN_VOICES[:60]:
        spoken = speech.synthesize(TEXT, voice)
        assert spoken.samples.std() > 0.005, voice
        assert all(visemes.phone(name) != "other" for _, name in spoken.phonemes), voice
        overdriven += np.abs(spoken.samples).max() > 0.99
    assert overdriven <= 12


def test_high_formants_are_heard_as_such():
    by_throat = sorted(range(60), key=lambda number: written("formant 2", number))
    low, high = (
        np.mean([centre_hz(f"en-us+drawn{number}") for number in numbers])
        for numbers in (by_throat[:12], by_throat[-12:])
    )
    assert high > 1.1 * low


def test_variants_are_not_written_where_espeak_is_installed():
    speech.synthesize(TEXT, "en-us+drawn5")
    assert not list(Path(espeakng_loader.get_data_path()).rglob("drawn*"))
