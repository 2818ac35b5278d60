"""The resampler against sines in closed form."""

import math
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from comfyui_emo.errors import InputError
from comfyui_emo.steps.resampling import Resampler, in_blocks, resample, resampled_count


def sine(hz: float, rate_hz: int, count: int) -> torch.Tensor:
    return torch.sin(2 * math.pi * hz * torch.arange(count, dtype=torch.float64) / rate_hz).float()


def level_db(signal: torch.Tensor) -> float:
    """Level in the middle of a signal, against a sine of full scale."""
    middle = signal[len(signal) // 4 : -len(signal) // 4].double()
    return 10 * math.log10(float(middle.square().mean()) * 2 + 1e-20)


@pytest.mark.parametrize("hz", [100, 1000, 5000, 7000])
def test_speech_band_passes_unchanged(hz):
    assert level_db(resample(sine(hz, 44100, 44100), 44100, 16000)) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize(("hz", "below_db"), [(8500, -80), (9000, -88), (12000, -90), (20000, -90)])
def test_frequencies_above_the_new_band_do_not_fold_back(hz, below_db):
    assert level_db(resample(sine(hz, 44100, 44100), 44100, 16000)) < below_db


@pytest.mark.parametrize(
    ("from_hz", "to_hz"),
    [(44100, 16000), (48000, 16000), (8000, 16000), (22050, 16000), (192000, 16000), (11025, 44100)]
    + [(16000, 48000), (44101, 16000), (12345, 16000)],
)
def test_every_sample_is_the_sine_at_its_own_time(from_hz, to_hz):
    count = from_hz // 2 + 13
    got = resample(sine(440, from_hz, count), from_hz, to_hz)
    assert len(got) == math.ceil(count * to_hz / from_hz)
    edge = to_hz // 20
    torch.testing.assert_close(got[edge:-edge], sine(440, to_hz, len(got))[edge:-edge], atol=2e-3, rtol=0)


def test_click_stays_in_its_place():
    samples = torch.zeros(48000)
    samples[30000] = 1.0
    assert int(resample(samples, 48000, 16000).abs().argmax()) == 10000


@pytest.mark.parametrize("block", [1, 333, 5000])
def test_blocks_give_what_the_whole_gives(block):
    samples = torch.randn(7001, generator=torch.Generator().manual_seed(0))
    resampler = Resampler(44100, 16000)
    parts = [resampler.push(part) for part in samples.split(block)] + [resampler.finish()]
    torch.testing.assert_close(torch.cat(parts), resample(samples, 44100, 16000), atol=1e-5, rtol=0)


@pytest.mark.parametrize("count", [0, 1, 2, 400])
def test_very_short_signals_keep_their_length(count):
    assert len(resample(torch.zeros(count), 48000, 16000)) == math.ceil(count / 3)


def test_equal_rates_change_nothing():
    samples = torch.randn(100)
    assert resample(samples, 16000, 16000) is samples


def test_an_hour_takes_seconds_not_minutes():
    minute = torch.zeros(44100 * 60)
    start = time.process_time()
    resample(minute, 44100, 16000)
    assert time.process_time() - start < 2.0


def test_rate_of_zero_is_refused():
    with pytest.raises(InputError, match="sample rates 0 -> 16000 Hz"):
        resample(torch.zeros(10), 0, 16000)


@settings(max_examples=50, deadline=None)
@given(lengths=st.lists(st.integers(0, 40), max_size=12), size=st.integers(1, 30))
def test_blocks_are_cut_anew(lengths, size):
    signal = torch.arange(sum(lengths), dtype=torch.float32)
    blocks = list(in_blocks(signal.split(lengths) if lengths else [], size))
    assert all(len(block) == size for block in blocks[:-1])
    assert torch.equal(torch.cat([torch.zeros(0), *blocks]), signal)


@pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(44100, 16000), (16000, 44100), (12345, 16000), (16000, 16000)]
)
def test_the_count_is_known_before(from_hz, to_hz):
    assert len(resample(torch.zeros(10_007), from_hz, to_hz)) == resampled_count(10_007, from_hz, to_hz)
