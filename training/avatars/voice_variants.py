"""Speakers drawn at random: espeak-ng variants of other throats, pitches and sources than those it brings.

A voice encoder that has heard the same eighty speakers for hours follows those better than new ones. A drawn
speaker is a name alone, "drawn17": the number is the seed of everything that is drawn for it.
"""

import math
import random
import re
from pathlib import Path

_NAME = re.compile(r"drawn(\d+)")
_FORMANTS = range(9)
_KLATT_SHARE, _KLATT_SOURCES = 0.35, range(1, 7)


def drawn_voices(dialects: tuple[str, ...], count: int) -> tuple[str, ...]:
    """Names of voices of drawn speakers, each in one of the dialects, in turn."""
    return tuple(f"{dialects[number % len(dialects)]}+drawn{number}" for number in range(count))


def _spread(chance: random.Random, low: float, high: float) -> float:
    """Drawn evenly by ratio."""
    return math.exp(chance.uniform(math.log(low), math.log(high)))


def variant_text(number: int) -> str:
    """The variant's file: how long its throat is, and how high, sharp, breathy and unsteady it speaks.

    One in fifteen is so loud that espeak clips it, as happens to recordings.
    """
    chance = random.Random(number)
    lines = ["language variant", f"name drawn{number}"]
    lowest_hz = _spread(chance, 70, 230)
    lines.append(f"pitch {lowest_hz:.0f} {lowest_hz * chance.uniform(1.1, 1.7):.0f}")
    if chance.random() < _KLATT_SHARE:
        lines.append(f"klatt {chance.choice(_KLATT_SOURCES)}")
    throat = _spread(chance, 0.84, 1.24)  # formants go up as it gets shorter
    for formant in _FORMANTS:
        frequency = 100 * throat * _spread(chance, 0.93, 1.08)
        height, width = 100 * _spread(chance, 0.5, 1.5), 100 * _spread(chance, 0.6, 1.8)
        lines.append(f"formant {formant} {frequency:.0f} {height:.0f} {width:.0f}")
    lines.append(f"voicing {100 * _spread(chance, 0.6, 1.6):.0f}")
    lines.append(f"consonants {chance.uniform(50, 120):.0f} {chance.uniform(50, 120):.0f}")
    lines.append(f"flutter {chance.uniform(0, 5):.0f}")
    lines.append(f"roughness {chance.uniform(0, 5):.0f}")
    if chance.random() < 0.3:
        lines.append("breath " + " ".join(f"{chance.uniform(0, 25):.0f}" for _ in range(4)))
    return "\n".join(lines) + "\n"


def lay_out_variant(voice: str, data: Path) -> None:
    """Write the file of a drawn speaker's variant into espeak's data, if the voice is one of theirs."""
    drawn = _NAME.fullmatch(voice.partition("+")[2])
    if drawn is None:
        return
    path = data / "voices" / "!v" / drawn[0]
    if not path.exists():  # a song asks once for every syllable
        path.write_text(variant_text(int(drawn[1])))
