"""Peaks that draw a voice's waveform."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from comfyui_emo.steps.voice import Voice
from comfyui_emo.steps.waveform import waveform_peaks


def voice(samples: torch.Tensor) -> Voice:
    return Voice(samples, 1000, "test")


def test_each_part_gives_its_loudest_sample():
    samples = torch.zeros(100)
    samples[3], samples[55], samples[99] = 0.5, -0.75, 3.0
    assert waveform_peaks(voice(samples), 10) == [0.5, 0, 0, 0, 0, 0.75, 0, 0, 0, 1.0]


@given(st.integers(40, 5000), st.integers(1, 700))
def test_peaks_are_few_and_the_loudest_is_among_them(length, count):
    samples = torch.sin(torch.arange(length) * 0.1) * 0.5
    peaks = waveform_peaks(voice(samples), count)
    assert 1 <= len(peaks) <= count
    assert max(peaks) == pytest.approx(float(samples.abs().max()), abs=1e-4)
