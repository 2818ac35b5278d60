"""Synthetic speech and song with phoneme times, and the mouth that goes with it."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .espeak import speak
from .sentences import random_nonsense, random_sentence
from .visemes import CURVES_FPS, VOWELS, mouth_curves_of, phone, phone_ids
from .voice_variants import drawn_voices

SAMPLE_RATE_HZ = 16000
UTTERANCE_KINDS = ("sentence", "nonsense", "chanted", "sung")

_DIALECTS = ("en-us", "en", "en-gb-scotland", "en-029", "en-gb-x-gbclan", "en-us-nyc")
_OTHER_SPEAKERS = (  # each in one of the dialects, in turn
    "Alex Andrea AnxiousAndy Denis Gene Gene2 Henrique Jacky Marco Mario Mike Nguyen RicishayMax "
    "RicishayMax2 Storm Tweaky anika announcer antonio benjamin boris caleb david ed gustave "
    "grandpa ian iven iven2 john kaukovalta klatt5 marcelo max michel miguel mike2 pablo paul pedro "
    "rob robert robosoft robosoft3 sandro steph2 steph3 travis victor zac"
).split()

TRAINING_VOICES = (
    *_DIALECTS,
    *(f"en-us+f{number}" for number in (1, 2, 4)),
    *(f"en-us+m{number}" for number in (1, 2, 4, 7, 8)),
    *("en+f5", "en+m5", "en-us+klatt", "en-us+klatt2", "en+klatt3", "en-us+klatt6", "en-us+croak"),
    *("en-us+Annie", "en-us+Andy", "en+Alicia", "en-us+linda", "en+steph", "en-us+grandma", "en+adam"),
    *("en-us+Reed", "en-gb-scotland+aunty", "en-us+Diogo", "en-029+shelby", "en-us+whisper", "en+Michael"),
    *("en-us-nyc+Lee", "en-gb-x-gbclan+f2", "en-029+m1", "en-us+Hugo", "en+norbert", "en-us+quincy"),
    *(f"{_DIALECTS[place % len(_DIALECTS)]}+{name}" for place, name in enumerate(_OTHER_SPEAKERS)),
)
DRAWN_VOICES = drawn_voices(_DIALECTS, 600)
ENCODER_VOICES = TRAINING_VOICES * 4 + DRAWN_VOICES  # for the voice encoder; a third of them espeak's own
HELD_OUT_VOICES = (
    *("en-us+f3", "en-us+m3", "en-gb-x-rp+m6", "en-us+klatt4", "en-gb-x-gbcwmd+belinda", "en-us+edward"),
)

# Steps of a major pentatonic scale; espeak's pitch of 0..99 spans about two octaves.
_SCALE_SEMITONES = (0, 2, 4, 7, 9, 12)
_PITCH_PER_SEMITONE = 4.0
_JOINT_S = 0.008
_BREATH_S = 0.18
_PAUSE = "_:"


@dataclass(frozen=True)
class Speech:
    """A voice and what it says.

    Attributes:
        samples: float32 mono [N].
        phonemes: (start in seconds, espeak mnemonic), in order; "_:" is a pause.
        sample_rate_hz: always 16000.
    """

    samples: np.ndarray
    phonemes: list[tuple[float, str]]
    sample_rate_hz: int = SAMPLE_RATE_HZ

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.sample_rate_hz


def _resample(samples: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """Band-limited resampling of a whole utterance through its spectrum."""
    count = round(len(samples) * to_hz / from_hz)
    spectrum = np.fft.rfft(samples)
    resized = np.zeros(count // 2 + 1, dtype=complex)
    kept = min(len(spectrum), len(resized))
    resized[:kept] = spectrum[:kept]
    return (np.fft.irfft(resized, count) * (count / len(samples))).astype(np.float32)


def synthesize(
    text: str, voice: str = "en-us", rate: int = 170, pitch: int = 50, pitch_range: int = 50
) -> Speech:
    """Speak a text at 16 kHz; settings and errors as `espeak.speak`."""
    pcm, rate_hz, phonemes = speak(text, voice, rate, pitch, pitch_range)
    samples = _resample(pcm.astype(np.float32) / 32768, rate_hz, SAMPLE_RATE_HZ)
    return Speech(samples, phonemes)


def chant(text: str, voice: str = "en-us", rate: int = 95, pitch: int = 50) -> Speech:
    """Speak slowly on one tone."""
    return synthesize(text, voice, rate, pitch, pitch_range=0)


def silence(duration_s: float) -> Speech:
    """A pause."""
    return Speech(np.zeros(round(duration_s * SAMPLE_RATE_HZ), dtype=np.float32), [(0.0, _PAUSE)])


def join(parts: Sequence[Speech]) -> Speech:
    """One after the other, times moved accordingly."""
    samples, phonemes, start_s = [], [], 0.0
    for part in parts:
        samples.append(part.samples)
        phonemes += [(start_s + moment_s, name) for moment_s, name in part.phonemes]
        start_s += part.duration_s
    return Speech(np.concatenate(samples), phonemes)


def _syllables(mnemonics: Sequence[str]) -> list[list[str]]:
    """Phonemes in groups of one vowel each, consonants in front of it; pauses are groups of their own.

    Consonants in front of a pause close the syllable before it.
    """
    groups: list[list[str]] = []
    onset: list[str] = []
    for mnemonic in mnemonics:
        name = phone(mnemonic)
        if name == "silence":
            if groups:
                groups[-1] += onset
                groups.append([_PAUSE])
            onset = []
            continue
        onset.append(mnemonic.strip("'`,%=_|;"))
        if name in VOWELS:
            groups.append(onset)
            onset = []
    return groups


def _note(syllable: list[str], voice: str, rate: int, pitch: int) -> Speech:
    """One sung syllable with its vowel held; espeak's closing pause is cut off, its edges faded."""
    held = [f"'{name.rstrip(':')}:" if phone(name) in VOWELS else name for name in syllable]
    speech = synthesize(f"[[{'|'.join(held)}]]", voice, rate, pitch, pitch_range=0)
    sounding = [(moment_s, name) for moment_s, name in speech.phonemes if phone(name) != "silence"]
    ends_s = [moment_s for moment_s, name in speech.phonemes if phone(name) == "silence" and moment_s > 0]
    count = round(ends_s[0] * SAMPLE_RATE_HZ) if ends_s else len(speech.samples)
    samples = speech.samples[:count].copy()
    joint = min(round(_JOINT_S * SAMPLE_RATE_HZ), count // 2)
    samples[:joint] *= np.linspace(0, 1, joint)
    samples[count - joint :] *= np.linspace(1, 0, joint)
    return Speech(samples, sounding)


def sing(text: str, chance: random.Random, voice: str = "en-us", rate: int = 100, pitch: int = 40) -> Speech:
    """Sing a text: every syllable on a note of a pentatonic scale above `pitch`, its vowel held.

    espeak has no song; syllables are spoken one by one at their pitch and joined, breaths at the pauses.
    """
    mnemonics = [name for _, name in synthesize(text, voice).phonemes]
    parts: list[Speech] = []
    degree = chance.randrange(len(_SCALE_SEMITONES))
    for syllable in _syllables(mnemonics):
        if syllable == [_PAUSE]:
            parts.append(silence(_BREATH_S))
            continue
        degree = min(max(degree + chance.choice((-2, -1, -1, 0, 1, 1, 2)), 0), len(_SCALE_SEMITONES) - 1)
        note_pitch = min(99, round(pitch + _SCALE_SEMITONES[degree] * _PITCH_PER_SEMITONE))
        parts.append(_note(syllable, voice, chance.choice((rate, rate, max(80, rate - 20))), note_pitch))
    return join(parts)


def random_utterance(
    chance: random.Random, voice: str, kind: str, sentence_count: int = 1
) -> tuple[Speech, str]:
    """An utterance of one of UTTERANCE_KINDS with random rate and pitch, and its text."""
    sentences = [
        random_nonsense(chance) if kind == "nonsense" else random_sentence(chance)
        for _ in range(sentence_count)
    ]
    text = " ".join(sentences)
    if kind == "sung":
        return sing(text, chance, voice, chance.randint(90, 150), chance.randint(15, 50)), text
    if kind == "chanted":
        return chant(text, voice, chance.randint(80, 120), chance.randint(15, 85)), text
    rate, pitch, pitch_range = chance.randint(110, 215), chance.randint(10, 90), chance.randint(25, 85)
    return synthesize(text, voice, rate, pitch, pitch_range), text


def mouth_curves(speech: Speech, fps: float = CURVES_FPS) -> np.ndarray:
    """Mouth shape (open, wide, round, teeth) over time, float32 [T, 4]; see `visemes.mouth_curves_of`."""
    return mouth_curves_of(speech.samples, speech.sample_rate_hz, speech.phonemes, fps)


def phone_classes(speech: Speech, fps: float = CURVES_FPS) -> np.ndarray:
    """Index into `visemes.PHONES` of every frame, int64 [T]."""
    return phone_ids(speech.phonemes, speech.duration_s, fps)
