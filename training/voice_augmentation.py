"""Rooms, microphones, noise, music and pauses for training speech.

Only synthetic voices are heard in training; what surrounds a voice is varied widely so that the encoder
follows recorded ones too. Waveforms here are float32 numpy arrays [N] at 16 kHz whose speech has a level of
about 1 (root mean square); chances and ranges are per training window.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .avatars.speech import SAMPLE_RATE_HZ
from .avatars.visemes import REST_SHAPE

_FADE_S = 0.03


@dataclass(frozen=True)
class AugmentationSettings:
    """How widely training speech is varied.

    Attributes:
        speeds: slowest and fastest playback; pitch and formants go with it.
        gain_db: quietest and loudest level after normalisation.
        filter_chance: of a random equaliser; half of these also lose their low or high end.
        filter_db: the equaliser's depth.
        room_chance: of reverberation.
        room_decay_s: shortest and longest time to fall by 60 dB.
        noise_chance: of coloured noise.
        noise_snr_db: loudest and quietest noise, as signal-to-noise ratio.
        music_chance: of tones in chords behind the voice.
        music_snr_db: loudest and quietest music.
        mute_chance: of a stretch of the voice being silenced, the mouth shut.
        mute_s: shortest and longest such stretch.
        no_voice_chance: of a window without any voice: silence, noise or music alone.
    """

    speeds: tuple[float, float] = (0.82, 1.22)
    gain_db: tuple[float, float] = (-9.0, 7.0)
    filter_chance: float = 0.6
    filter_db: float = 9.0
    room_chance: float = 0.4
    room_decay_s: tuple[float, float] = (0.1, 0.8)
    noise_chance: float = 0.7
    noise_snr_db: tuple[float, float] = (6.0, 40.0)
    music_chance: float = 0.25
    music_snr_db: tuple[float, float] = (4.0, 25.0)
    mute_chance: float = 0.25
    mute_s: tuple[float, float] = (0.2, 1.0)
    no_voice_chance: float = 0.04

    @classmethod
    def moderate(cls) -> "AugmentationSettings":
        """Milder surroundings, for the second half of a training: wide ones alone blur the vowels."""
        return cls(
            speeds=(0.88, 1.14),
            filter_chance=0.4,
            filter_db=6.0,
            room_chance=0.2,
            room_decay_s=(0.1, 0.5),
            noise_chance=0.6,
            noise_snr_db=(10.0, 45.0),
            music_chance=0.15,
            music_snr_db=(8.0, 25.0),
        )

    def __post_init__(self) -> None:
        if not 0 < self.speeds[0] <= self.speeds[1] or not 0 < self.room_decay_s[0] <= self.room_decay_s[1]:
            raise InputError(
                got=f"speeds {self.speeds}, room_decay_s {self.room_decay_s}",
                allowed="two positive numbers each, the smaller first",
                do="change the augmentation settings",
            )


def stretched(samples: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Samples read at fractional positions, by straight lines; silence outside."""
    return np.interp(positions, np.arange(len(samples)), samples, left=0.0, right=0.0).astype(np.float32)


def coloured_noise(dice: np.random.Generator, count: int) -> np.ndarray:
    """Noise of level 1 whose spectrum falls (or rises) with a random slope."""
    frequencies = np.fft.rfftfreq(count, 1 / SAMPLE_RATE_HZ)
    slope = dice.uniform(-1.5, 0.3)
    spectrum = np.fft.rfft(dice.standard_normal(count)) * np.maximum(frequencies, 30.0) ** slope
    noise = np.fft.irfft(spectrum, count)
    return (noise / noise.std()).astype(np.float32)


def chords(dice: np.random.Generator, count: int) -> np.ndarray:
    """Music-like background of level 1: decaying harmonic notes in random chords on a beat."""
    beat = int(dice.uniform(0.2, 0.8) * SAMPLE_RATE_HZ)
    age_s = np.arange(2 * beat) / SAMPLE_RATE_HZ
    envelope = np.minimum(age_s / 0.01, 1) * np.exp(-age_s * dice.uniform(2, 8))
    music = np.zeros(count + 3 * beat)
    for start in range(0, count + beat, beat):
        root_hz = 110 * 2 ** (dice.integers(0, 25) / 12)
        for semitones in (0, dice.choice((3, 4)), 7):
            turns = root_hz * 2 ** (semitones / 12) * age_s
            note = sum(np.sin(2 * np.pi * harmonic * turns) / harmonic**1.5 for harmonic in (1, 2, 3))
            music[start : start + 2 * beat] += envelope * note
    heard = music[beat : beat + count]
    return (heard / heard.std()).astype(np.float32)


def _filter_response(dice: np.random.Generator, frequencies: np.ndarray, depth_db: float) -> np.ndarray:
    """Gains of a smooth random equaliser, sometimes without the lowest or highest frequencies."""
    octaves = np.log2(np.maximum(frequencies, 40.0) / 40.0)
    curve_db = np.zeros_like(octaves)
    for ripples in (0.5, 1, 2, 3):
        phase = dice.uniform(0, 2 * np.pi)
        curve_db += dice.uniform(0, depth_db / 2) * np.sin(2 * np.pi * ripples * octaves / 7.6 + phase)
    if dice.random() < 0.5:
        low_hz, high_hz = dice.uniform(20, 350), dice.uniform(3000, 9000)
        curve_db -= 10 * np.log10(1 + (low_hz / np.maximum(frequencies, 1.0)) ** 6)
        curve_db -= 10 * np.log10(1 + (frequencies / high_hz) ** 12)
    return 10 ** (curve_db / 20)


def _room_response(dice: np.random.Generator, settings: AugmentationSettings) -> np.ndarray:
    """Impulse response: the direct sound, then a decaying tail; at times one clear echo."""
    decay_s = dice.uniform(*settings.room_decay_s)
    moments_s = np.arange(int(decay_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    tail = dice.standard_normal(len(moments_s)) * 10 ** (-3 * moments_s / decay_s)
    tail *= 10 ** (-dice.uniform(0, 15) / 20) / np.sqrt(np.square(tail).sum())
    tail[0] = 1.0
    if dice.random() < 0.2:
        tail[dice.integers(len(tail) // 4, len(tail))] += dice.uniform(0.1, 0.4)
    return tail


def through_room_and_microphone(
    samples: np.ndarray, dice: np.random.Generator, settings: AugmentationSettings
) -> np.ndarray:
    """The voice after a random room and a random equaliser, each by its chance; the level is kept."""
    in_room, filtered = dice.random() < settings.room_chance, dice.random() < settings.filter_chance
    if not in_room and not filtered:
        return samples
    padded = 2 * len(samples)
    spectrum = np.fft.rfft(samples, padded)
    if in_room:
        spectrum *= np.fft.rfft(_room_response(dice, settings), padded)
    if filtered:
        spectrum *= _filter_response(dice, np.fft.rfftfreq(padded, 1 / SAMPLE_RATE_HZ), settings.filter_db)
    heard = np.fft.irfft(spectrum, padded)[: len(samples)]
    scale = np.sqrt(np.square(samples).mean() / max(np.square(heard).mean(), 1e-12))
    return (heard * scale).astype(np.float32)


def muted(
    samples: np.ndarray, curves: np.ndarray, phones: np.ndarray, first: int, last: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Silence the voice in features first ... last - 1 of a window and shut the mouth there.

    Args:
        samples: [N].
        curves: [T, 4], one row a feature of the encoder (20 ms).
        phones: [T].
    """
    hop = len(samples) / len(curves)
    fade = round(_FADE_S * SAMPLE_RATE_HZ)
    loud = np.ones(len(samples), dtype=np.float32)
    loud[round(first * hop) : round(last * hop)] = 0
    loud = np.convolve(loud, np.full(fade, 1 / fade, dtype=np.float32), "same")
    shut = np.zeros((len(curves), 1), dtype=np.float32)
    shut[first:last] = 1
    padded = np.pad(shut[:, 0], 2, mode="edge")
    shut[:, 0] = np.convolve(padded, np.array([0.06, 0.24, 0.4, 0.24, 0.06]), "valid")
    silent_phones = np.where(shut[:, 0] > 0.5, 0, phones)
    resting = curves + shut * (np.array(REST_SHAPE, dtype=np.float32) - curves)
    return samples * loud, resting, silent_phones


def with_background(
    samples: np.ndarray, dice: np.random.Generator, settings: AugmentationSettings, voiced: bool
) -> np.ndarray:
    """Add noise and music by their chances, bring the whole to level 1, then to a random gain.

    A window without voice gets the same background; at times next to nothing, as silence is.
    """
    heard = samples.copy()
    if dice.random() < settings.noise_chance:
        heard += coloured_noise(dice, len(heard)) * 10 ** (-dice.uniform(*settings.noise_snr_db) / 20)
    if dice.random() < settings.music_chance:
        heard += chords(dice, len(heard)) * 10 ** (-dice.uniform(*settings.music_snr_db) / 20)
    level = float(heard.std())
    gain = 10 ** (dice.uniform(*settings.gain_db) / 20)
    if voiced:
        # Relative to the speech's level, not to the window's: a window with pauses is not louder for them.
        return heard * np.float32(gain / np.sqrt(1 + max(level**2 - float(samples.std()) ** 2, 0)))
    return heard * np.float32(gain * dice.choice((1.0, 1 / max(level, 0.05))))
