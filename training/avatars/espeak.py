"""The espeak-ng synthesiser through ctypes, from the library and data that `espeakng-loader` brings.

Needed to make training speech only; nothing that runs a trained model imports it.
"""

import atexit
import ctypes
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DependencyError, InputError
from .voice_variants import lay_out_variant

# Values of espeak-ng's speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_PHONEME_EVENTS = 0x0001
_INITIALIZE_DONT_EXIT = 0x8000
_EVENT_LIST_TERMINATED = 0
_EVENT_PHONEME = 7
_PARAMETER_VOLUME = 2
_PARAMETERS = {"rate": 1, "pitch": 3, "pitch_range": 4}
_CHARS_UTF8 = 1
_PHONEMES_IN_BRACKETS = 0x100
# Below 100, at which several voice variants clip.
_VOLUME = 55

_ALLOWED = {"rate": (80, 450), "pitch": (0, 99), "pitch_range": (0, 99)}


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass
class _Recording:
    """What the synthesiser hands over while it speaks."""

    blocks: list[np.ndarray]
    phonemes: list[tuple[int, str]]

    def take(self, pcm: Any, count: int, events: Any) -> int:
        """The synthesiser's callback; 0 asks it to go on."""
        if count > 0:
            self.blocks.append(np.ctypeslib.as_array(pcm, (count,)).copy())
        index = 0
        while events[index].type != _EVENT_LIST_TERMINATED:
            event = events[index]
            if event.type == _EVENT_PHONEME:
                self.phonemes.append((event.sample, event.id.string.decode("utf-8", "replace")))
            index += 1
        return 0


@dataclass(frozen=True)
class _Engine:
    library: ctypes.CDLL
    data: Path
    sample_rate_hz: int
    recording: _Recording
    # ctypes frees a callback that Python no longer holds.
    callback: object


@cache
def _engine() -> _Engine:
    try:
        import espeakng_loader
    except ImportError as error:
        raise DependencyError(
            got="no module named espeakng_loader",
            allowed="espeakng-loader, which brings the espeak-ng library and its data",
            do="pip install espeakng-loader",
        ) from error
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    # A copy, because the variants of drawn speakers are written into it.
    folder = tempfile.TemporaryDirectory(prefix="espeak-")
    atexit.register(folder.cleanup)
    data = Path(folder.name) / "data"
    shutil.copytree(espeakng_loader.get_data_path(), data)
    sample_rate_hz = library.espeak_Initialize(
        _AUDIO_OUTPUT_SYNCHRONOUS,
        0,
        str(data).encode(),
        _INITIALIZE_PHONEME_EVENTS | _INITIALIZE_DONT_EXIT,
    )
    if sample_rate_hz <= 0:
        raise DependencyError(
            got=f"espeak_Initialize answered {sample_rate_hz}",
            allowed="a sample rate",
            do="pip install --force-reinstall espeakng-loader",
        )
    recording = _Recording([], [])
    callback = _Callback(recording.take)
    library.espeak_SetSynthCallback(callback)
    return _Engine(library, data, sample_rate_hz, recording, callback)


def _take_voice(engine: _Engine, voice: str) -> None:
    lay_out_variant(voice, engine.data)
    if engine.library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise InputError(
            got=f"voice {voice!r}",
            allowed="a voice that espeak-ng knows, such as 'en-us' or 'en-us+f3'",
            do="take a voice of TRAINING_VOICES or HELD_OUT_VOICES",
        )


def speak(
    text: str, voice: str, rate: int, pitch: int, pitch_range: int
) -> tuple[np.ndarray, int, list[tuple[float, str]]]:
    """Speak a text; parts in [[double brackets]] are espeak's phoneme mnemonics.

    Args:
        text: English text.
        voice: an espeak voice, with a variant after a plus: "en-us+f3", or "en-us+drawn17" for a speaker
            drawn at random, see `voice_variants`.
        rate: words per minute, 80 to 450.
        pitch: height of the voice, 0 to 99, 50 being the voice's own.
        pitch_range: liveliness of the intonation, 0 (flat) to 99.

    Returns:
        int16 samples [N], their sample rate in Hz, and (start in seconds, mnemonic) of every phoneme.

    Raises:
        DependencyError: espeakng-loader is not installed.
        InputError: an unknown voice, or a setting outside its range.
    """
    settings = {"rate": rate, "pitch": pitch, "pitch_range": pitch_range}
    for name, value in settings.items():
        low, high = _ALLOWED[name]
        if not low <= value <= high:
            raise InputError(got=f"{name} {value}", allowed=f"{low} to {high}", do=f"change {name}")
    engine = _engine()
    _take_voice(engine, voice)
    engine.library.espeak_SetParameter(_PARAMETER_VOLUME, _VOLUME, 0)
    for name, value in settings.items():
        engine.library.espeak_SetParameter(_PARAMETERS[name], value, 0)
    recording = engine.recording
    recording.blocks.clear()
    recording.phonemes.clear()
    encoded = text.encode()
    flags = _CHARS_UTF8 | _PHONEMES_IN_BRACKETS
    engine.library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, flags, None, None)
    engine.library.espeak_Synchronize()
    if not recording.blocks:
        raise InputError(
            got=f"text {text!r}, which has no sound", allowed="text with words", do="change text"
        )
    phonemes = [(sample / engine.sample_rate_hz, name) for sample, name in recording.phonemes]
    return np.concatenate(recording.blocks), engine.sample_rate_hz, phonemes
