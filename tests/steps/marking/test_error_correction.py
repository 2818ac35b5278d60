"""The payload's code, against what it promises."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfyui_emo.steps.marking.error_correction import (
    CHECK_BITS,
    CHIP_COUNT,
    decode_payload,
    encode_payload,
)

payloads = st.integers(0, 2**32 - 1)


@settings(max_examples=20, deadline=None)
@given(payloads)
def test_a_payload_comes_back(payload):
    chips = encode_payload(payload)
    assert chips.shape == (CHIP_COUNT,) and set(chips) <= {-1.0, 1.0}
    assert decode_payload(chips) == payload


@settings(max_examples=20, deadline=None)
@given(payloads, st.integers(0, 2**32 - 1))
def test_words_differ_at_24_chips_or_more(first, second):
    """24 is the free distance of the rate 1/4 code of constraint length 9."""
    distance = int((encode_payload(first) != encode_payload(second)).sum())
    assert distance == 0 if first == second else distance >= 24


@settings(max_examples=20, deadline=None)
@given(payloads, st.randoms(use_true_random=False))
def test_eleven_wrong_chips_anywhere_are_corrected(payload, random):
    chips = encode_payload(payload)
    chips[random.sample(range(CHIP_COUNT), 11)] *= -1
    assert decode_payload(chips) == payload


@pytest.mark.parametrize("noise", [0.6, 1.0])
def test_noise_is_overcome(noise):
    rng = np.random.default_rng(3)
    payload = 0xC0FFEE11
    chips = encode_payload(payload)
    found = [decode_payload(chips + noise * rng.standard_normal(CHIP_COUNT)) for _ in range(20)]
    assert found == [payload] * 20


def test_noise_alone_passes_the_check_no_more_often_than_chance():
    rng = np.random.default_rng(4)
    words = [decode_payload(rng.standard_normal(CHIP_COUNT)) for _ in range(200)]
    assert CHECK_BITS == 24 and words == [None] * 200


def test_nothing_is_no_payload():
    assert decode_payload(np.zeros(CHIP_COUNT)) is None
