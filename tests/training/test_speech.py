"""Synthetic speech and the mouth that goes with it."""

import importlib.util
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfyui_emo.errors import DependencyError, InputError
from comfyui_emo.training.avatars import espeak, speech, visemes
from comfyui_emo.training.avatars.speech_corpus import CorpusSettings, SpeechCorpus, write_corpus

needs_espeak = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None,
    reason="espeakng-loader is not installed (pip install espeakng-loader); it makes training speech only",
)


def _middle(spoken: speech.Speech, phones: set[str], curves: np.ndarray) -> np.ndarray:
    """Mouth shapes [K, 4] in the middle of every occurrence of the phones."""
    ends = [start for start, _ in spoken.phonemes[1:]] + [spoken.duration_s]
    rows = [
        curves[int((start + end) / 2 * visemes.CURVES_FPS)]
        for (start, name), end in zip(spoken.phonemes, ends, strict=True)
        if visemes.phone(name) in phones
    ]
    return np.stack(rows)


@needs_espeak
@pytest.mark.parametrize("voice", ["en-us", "en-gb-x-rp+m6"])
def test_vowels_open_lips_close_and_teeth_show(voice: str) -> None:
    spoken = speech.synthesize("My father bought a car. Bob saw a fat cow. Five vivid figs.", voice)
    curves = speech.mouth_curves(spoken)
    vowels = _middle(spoken, {"A:", "a", "0", "O:"}, curves)[:, 0]
    assert vowels.min() > 0.35 and vowels.mean() > 0.7
    assert _middle(spoken, {"m", "b", "p"}, curves)[:, 0].max() < 0.2
    lips = _middle(spoken, {"f", "v"}, curves)
    assert lips[:, 3].min() > 0.5 and lips[:, 0].max() < 0.35


@needs_espeak
def test_rounding_follows_the_vowel() -> None:
    round_lips = speech.synthesize("moon, two, food")
    wide_lips = speech.synthesize("sea, tea, feed")
    rounded = _middle(round_lips, {"u:"}, speech.mouth_curves(round_lips))
    spread = _middle(wide_lips, {"i:"}, speech.mouth_curves(wide_lips))
    assert rounded[:, 2].min() > 0.8 and spread[:, 2].max() < 0.2
    assert spread[:, 1].min() > 0.8 and rounded[:, 1].max() < 0.2


@needs_espeak
def test_pauses_shut_the_mouth() -> None:
    first = speech.synthesize("A farm above.")
    spoken = speech.join([first, speech.silence(0.8), speech.synthesize("My arm aches.")])
    curves, phones = speech.mouth_curves(spoken), speech.phone_classes(spoken)
    start = int(first.duration_s * 100)
    assert curves[start + 10 : start + 70, 0].max() < 0.02
    assert (phones[start + 5 : start + 75] == visemes.PHONES.index("silence")).all()
    assert len(curves) == len(phones) == int(np.ceil(spoken.duration_s * 100))


@needs_espeak
def test_speech_is_16_khz_mono_with_ordered_phonemes() -> None:
    spoken = speech.synthesize("Hello world.", rate=150)
    assert spoken.sample_rate_hz == 16000
    assert spoken.samples.dtype == np.float32 and spoken.samples.ndim == 1
    assert 0.05 < np.abs(spoken.samples).max() < 1
    starts = [start for start, _ in spoken.phonemes]
    assert starts == sorted(starts) and starts[-1] <= spoken.duration_s + 0.001
    assert 0.5 < spoken.duration_s < 2


@needs_espeak
def test_every_voice_speaks_and_its_phones_are_known() -> None:
    for voice in speech.TRAINING_VOICES + speech.HELD_OUT_VOICES:
        spoken = speech.synthesize("We judge this vision, boys.", voice)
        assert spoken.samples.std() > 0.005, voice
        assert all(visemes.phone(name) != "other" for _, name in spoken.phonemes), voice


def test_held_out_voices_are_not_trained_on() -> None:
    assert not set(speech.TRAINING_VOICES) & set(speech.HELD_OUT_VOICES)
    assert len(set(speech.TRAINING_VOICES)) == len(speech.TRAINING_VOICES)
    variants = [{voice.partition("+")[2] for voice in voices if "+" in voice} for voices in
                (speech.TRAINING_VOICES, speech.HELD_OUT_VOICES)]  # fmt: skip
    assert not variants[0] & variants[1]


def _pitch_hz(samples: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(samples, 2 * len(samples))) ** 2
    correlation = np.fft.irfft(power)
    shortest = 16000 // 400
    return 16000 / (shortest + int(correlation[shortest : 16000 // 60].argmax()))


@needs_espeak
def test_song_holds_its_vowels_on_different_notes() -> None:
    text = "The moon above the river."
    spoken, sung = speech.synthesize(text), speech.sing(text, random.Random(1), rate=90)
    assert sung.duration_s > 1.8 * spoken.duration_s
    ends = [start for start, _ in sung.phonemes[1:]] + [sung.duration_s]
    notes_hz = [
        _pitch_hz(sung.samples[int((start + 0.06) * 16000) : int((start + 0.2) * 16000)])
        for (start, name), end in zip(sung.phonemes, ends, strict=True)
        if visemes.phone(name) in visemes.VOWELS and end - start > 0.25
    ]
    assert len(notes_hz) >= 3 and max(notes_hz) > 1.1 * min(notes_hz)


@needs_espeak
def test_chant_stays_on_one_tone() -> None:
    chanted = speech.chant("Ma na la ma na la.")
    vowels = [start for start, name in chanted.phonemes if visemes.phone(name) in visemes.VOWELS]
    notes_hz = [_pitch_hz(chanted.samples[int((s + 0.05) * 16000) : int((s + 0.17) * 16000)]) for s in vowels]
    assert max(notes_hz) < 1.08 * min(notes_hz)


@needs_espeak
@pytest.mark.parametrize(
    ("change", "named"),
    [({"voice": "xx-nobody"}, "xx-nobody"), ({"rate": 20}, "rate 20"), ({"pitch": 100}, "pitch 100")],
)
def test_unusable_settings_are_refused(change: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        speech.synthesize("Hello.", **change)


def test_without_espeak_the_install_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    monkeypatch.setattr(espeak, "_engine", espeak._engine.__wrapped__)
    with pytest.raises(DependencyError, match="pip install espeakng-loader"):
        speech.synthesize("Hello.")


@settings(deadline=None)
@given(fps=st.floats(5, 99), slope=st.floats(-1, 1))
def test_frames_take_the_mean_of_their_time(fps: float, slope: float) -> None:
    """A curve that grows with time gives each frame the value at its centre."""
    rows = np.arange(400)
    curves = np.repeat((slope * (rows + 0.5) / 100)[:, None], 4, axis=1)
    frame_count = int(3.9 * fps)
    frames = visemes.curves_at(curves, fps, frame_count)
    centres_s = (np.arange(frame_count) + 0.5) / fps
    # Steps of 10 ms are not a line: off by at most their quarter step.
    np.testing.assert_allclose(frames[:, 0], slope * centres_s, atol=0.0026)
    assert frames.shape == (frame_count, 4)


def test_past_the_end_the_last_shape_holds() -> None:
    curves = np.linspace(0, 1, 40).reshape(10, 4).astype(np.float32)
    frames = visemes.curves_at(curves, 25.0, 10)
    np.testing.assert_allclose(frames[5:], np.repeat(curves[-1:], 5, axis=0), atol=1e-6)


@needs_espeak
def test_a_corpus_comes_back_as_written(tmp_path: Path) -> None:
    path = tmp_path / "speech.safetensors"
    wanted = CorpusSettings(minutes=0.4, voices=("en-us", "en-us+f3"), seed=3, least_s=2.0, pause_share=1.0)
    write_corpus(path, wanted)
    corpus = SpeechCorpus.load(path)
    assert sum(corpus.duration_s(index) for index in range(len(corpus))) >= 24
    assert {row.voice for row in corpus.utterances} == {"en-us", "en-us+f3"}
    for index, row in enumerate(corpus.utterances):
        samples, curves = corpus.samples(index), corpus.curves(index)
        assert row.kind in speech.UTTERANCE_KINDS and row.text
        assert len(curves) == len(corpus.phones(index)) == int(np.ceil(len(samples) / 160))
        assert 0.25 < np.abs(samples).max() < 1
        for start_s, end_s in row.pauses_s:
            assert 0.49 < end_s - start_s < 1.01
            assert curves[int(start_s * 100) + 12 : int(end_s * 100) - 12, 0].max() < 0.02
    again = tmp_path / "again.safetensors"
    write_corpus(again, wanted)
    assert [row.text for row in SpeechCorpus.load(again).utterances] == [
        row.text for row in corpus.utterances
    ]


def test_a_file_that_is_no_corpus_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "speech.safetensors"
    with pytest.raises(InputError, match="speech.safetensors"):
        SpeechCorpus.load(path)
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="write the corpus again"):
        SpeechCorpus.load(path)
