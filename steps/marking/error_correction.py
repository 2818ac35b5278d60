"""The payload of the watermark as chips: a check sum, then a tail-biting convolutional code.

The code is the rate 1/4 code of constraint length 9 with the largest free distance (Larsen, "Short
convolutional codes with maximal free distance for rates 1/2, 1/3, and 1/4", IEEE Trans. Information Theory,
1973). It bites its own tail, so no chip is spent on an end; the decoder walks around the circle three times
(Shao, Lin and Fossorier, "Two decoding algorithms for tailbiting codes", IEEE Trans. Communications, 2003).
"""

import zlib

import numpy as np

PAYLOAD_BITS = 32
CHECK_BITS = 24
"""A word made by chance passes the check once in 2**CHECK_BITS times."""

_MESSAGE_BITS = PAYLOAD_BITS + CHECK_BITS
_GENERATORS = (0o463, 0o535, 0o733, 0o745)
_MEMORY_BITS = 8
_STATES = 1 << _MEMORY_BITS
CHIP_COUNT = _MESSAGE_BITS * len(_GENERATORS)

# A state holds the last bits, the newest on top; state t is entered by its top bit from two states.
_STATE = np.arange(_STATES)
_ENTERING_BIT = _STATE >> (_MEMORY_BITS - 1)
_SOURCES = ((_STATE & (_STATES // 2 - 1)) << 1) | np.array([[0], [1]])  # [2, S]


def _branch_signs() -> np.ndarray:
    """What is sent on the way into each state from either source: [2, S, 4], -1 or 1."""
    registers = (_ENTERING_BIT << _MEMORY_BITS) | _SOURCES  # [2, S]
    taps = registers[..., None] & np.array(_GENERATORS)
    parity = np.zeros_like(taps)
    for bit in range(_MEMORY_BITS + 1):
        parity ^= (taps >> bit) & 1
    return (2 * parity - 1).astype(np.float64)


_BRANCHES = _branch_signs()


def encode_payload(payload: int) -> np.ndarray:
    """A payload of 32 bits as signs [CHIP_COUNT], -1 or 1."""
    bits = _bits((payload << CHECK_BITS) | _check_sum(payload), _MESSAGE_BITS)
    state = 0
    for bit in bits[-_MEMORY_BITS:]:  # the circle's start is its end
        state = (bit << (_MEMORY_BITS - 1)) | (state >> 1)
    signs = []
    for bit in bits:
        following = (bit << (_MEMORY_BITS - 1)) | (state >> 1)
        signs.append(_BRANCHES[state & 1, following])
        state = following
    return np.concatenate(signs)


def decode_payload(chips: np.ndarray) -> int | None:
    """The payload whose signs are most alike to noisy chips [CHIP_COUNT]; None if the check sum is wrong."""
    word = 0
    for bit in _most_likely_bits(chips.reshape(_MESSAGE_BITS, len(_GENERATORS))):
        word = (word << 1) | int(bit)
    payload, check = word >> CHECK_BITS, word & ((1 << CHECK_BITS) - 1)
    return payload if check == _check_sum(payload) else None


def _most_likely_bits(steps: np.ndarray) -> np.ndarray:
    """Viterbi's algorithm, three times around the circle; the middle round is what it settles on."""
    rounds = np.concatenate([steps, steps, steps])  # [3 L, 4]
    score = np.zeros(_STATES)
    chosen = np.empty((len(rounds), _STATES), np.uint8)
    for step, received in enumerate(rounds):
        candidates = score[_SOURCES] + _BRANCHES @ received
        chosen[step] = candidates[1] > candidates[0]
        score = candidates.max(0)
    state = int(score.argmax())
    bits = np.empty(len(rounds), np.int64)
    for step in range(len(rounds) - 1, -1, -1):
        bits[step] = _ENTERING_BIT[state]
        state = _SOURCES[chosen[step, state], state]
    return bits[len(steps) : 2 * len(steps)]


def _bits(value: int, count: int) -> list[int]:
    return [(value >> place) & 1 for place in range(count - 1, -1, -1)]


def _check_sum(payload: int) -> int:
    return zlib.crc32(b"comfyui-emo" + payload.to_bytes(PAYLOAD_BITS // 8, "big")) & ((1 << CHECK_BITS) - 1)
