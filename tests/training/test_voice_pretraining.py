"""Pre-training of the voice encoder: targets in time, augmentation, a short run that is cut and goes on."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from comfyui_emo.errors import InputError
from comfyui_emo.models.voice_encoder import VoiceEncoderConfig, load_voice_encoder
from comfyui_emo.training.avatars.speech_corpus import SpeechCorpus, Utterance
from comfyui_emo.training.avatars.visemes import PHONES, REST_SHAPE
from comfyui_emo.training.loop import LoopSettings
from comfyui_emo.training.voice_augmentation import (
    AugmentationSettings,
    chords,
    coloured_noise,
    muted,
    through_room_and_microphone,
    with_background,
)
from comfyui_emo.training.voice_pretraining import pretrain
from comfyui_emo.training.voice_windows import PretrainingSettings, WindowMaker, targets_at

TINY = VoiceEncoderConfig(
    layers=2,
    width=16,
    heads=2,
    feedforward_width=24,
    conv_channels=(8,) * 7,
    position_kernel=7,
    position_groups=2,
    attention_radius=5,
)
SMALL_BATCH = PretrainingSettings(batch_size=3, window_s=0.6)
PLAIN = AugmentationSettings(
    speeds=(1.0, 1.0),
    gain_db=(0.0, 0.0),
    filter_chance=0,
    room_chance=0,
    noise_chance=0,
    music_chance=0,
    mute_chance=0,
    no_voice_chance=0,
)


def _corpus(voice: str, seconds: float = 3.0, phones: tuple[str, ...] = PHONES) -> SpeechCorpus:
    """A buzz that gets louder as the mouth opens, once a second."""
    moments_s = np.arange(round(seconds * 16000)) / 16000
    buzz = np.sign(np.sin(2 * np.pi * 120 * moments_s)) * (0.5 - 0.5 * np.cos(2 * np.pi * moments_s)) * 0.3
    frame_s = (np.arange(round(seconds * 100)) + 0.5) / 100
    opening = 0.5 - 0.5 * np.cos(2 * np.pi * frame_s)
    curves = np.stack([opening, 0.45 + 0.1 * opening, 0.2 * opening, 0.1 * opening], axis=1)
    tensors = {
        "samples": np.round(buzz * 32767).astype(np.int16),
        "curves": curves.astype(np.float16),
        "phones": (opening > 0.5).astype(np.uint8),
        "sample_offsets": np.array([0, len(buzz)]),
        "curve_offsets": np.array([0, len(curves)]),
    }
    rows = [asdict(Utterance("sentence", voice, "buzz", ()))]
    metadata = {"settings": "{}", "phones": json.dumps(phones), "utterances": json.dumps(rows)}
    return SpeechCorpus(tensors, metadata)


def test_targets_belong_to_the_feature_s_moment() -> None:
    """With an opening of t, feature k wants start + speed * (0.0125 + 0.02 k)."""
    curves = np.repeat(((np.arange(300) + 0.5) / 100)[:, None], 4, axis=1)
    phones = np.arange(300)
    mouth, phone = targets_at(curves, phones, TINY, 40, start_s=0.5, speed=1.2)
    moments_s = 0.5 + 1.2 * (0.0125 + 0.02 * np.arange(40))
    np.testing.assert_allclose(mouth[:, 0], moments_s, atol=0.003)
    np.testing.assert_array_equal(phone, np.floor(moments_s * 100))


def test_past_the_end_of_an_utterance_the_mouth_rests() -> None:
    mouth, phone = targets_at(np.ones((20, 4)), np.ones(20, dtype=np.int64), TINY, 40)
    np.testing.assert_allclose(mouth[12:], np.tile(np.array(REST_SHAPE, np.float32), (28, 1)))
    assert (phone[12:] == 0).all() and (phone[:9] == 1).all()


def test_windows_keep_voice_and_mouth_together() -> None:
    """The buzz grows with the opening, so its level must follow the targets."""
    maker = WindowMaker(_corpus("a"), TINY, PretrainingSettings(batch_size=1, augmentation=PLAIN))
    for seed in range(4):
        samples, mouth, _ = maker.window(np.random.default_rng(seed))
        level = np.array([samples[320 * k : 320 * k + 400].std() for k in range(len(mouth))])
        assert np.corrcoef(level, mouth[:, 0])[0, 1] > 0.98


def test_same_seed_same_batch() -> None:
    maker = WindowMaker(_corpus("a"), TINY, SMALL_BATCH)
    first, second, other = (maker.batch(torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))
    assert not torch.equal(first[0], other[0])
    assert first[0].shape == (3, 9600) and first[1].shape == (3, 29, 4) and first[2].shape == (3, 29)


def test_muting_shuts_the_mouth_and_nothing_else() -> None:
    samples, curves, phones = np.ones(32000, np.float32), np.ones((99, 4), np.float32), np.full(99, 7)
    quiet, resting, silent = muted(samples, curves, phones, 30, 60)
    # 99 features over 32000 samples, the edges faded over 30 ms.
    first, last = 30 * 32000 // 99, 60 * 32000 // 99
    assert np.abs(quiet[first + 250 : last - 250]).max() < 1e-5
    assert quiet[: first - 250][300:].min() > 0.999 and quiet[last + 250 : -300].min() > 0.999
    np.testing.assert_allclose(resting[33:57], np.tile(np.array(REST_SHAPE), (24, 1)), atol=1e-5)
    np.testing.assert_allclose(resting[:27], 1, atol=1e-6)
    assert (silent[31:59] == 0).all() and (silent[:29] == 7).all() and (silent[61:] == 7).all()


def test_surroundings_keep_the_level_and_stay_finite() -> None:
    settings = AugmentationSettings(filter_chance=1, room_chance=1, noise_chance=1, music_chance=1)
    voice = coloured_noise(np.random.default_rng(9), 16000)
    for seed in range(10):
        dice = np.random.default_rng(seed)
        heard = through_room_and_microphone(voice, dice, settings)
        assert heard.std() == pytest.approx(1, rel=0.05)
        assert np.isfinite(with_background(heard, dice, settings, voiced=True)).all()
        assert np.isfinite(with_background(voice * 0, dice, settings, voiced=False)).all()
        assert chords(dice, 16000).std() == pytest.approx(1, rel=1e-3)


def test_a_cut_run_goes_on_and_ends_as_an_uncut_one(tmp_path: Path) -> None:
    corpus, held_out = _corpus("a"), _corpus("b")

    def run(name: str, steps: int) -> dict:
        loop = LoopSettings(steps=steps, warmup_steps=2, decay_share=0.0, log_every=5)
        files = tmp_path / f"{name}.safetensors", tmp_path / f"{name}.pt"
        return pretrain(corpus, held_out, *files, loop, SMALL_BATCH, TINY, seed=5)

    run("cut", 4)
    record, uncut = run("cut", 8), run("uncut", 8)
    assert record["earlier"]["steps"] == 4 and uncut["earlier"] is None
    assert record["steps"] == 8 and record["held_out_clean"] == uncut["held_out_clean"]
    encoders = [load_voice_encoder(tmp_path / f"{name}.safetensors") for name in ("cut", "uncut")]
    for one, two in zip(*(encoder.state_dict().values() for encoder in encoders), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)
    with safe_open(tmp_path / "cut.safetensors", "pt") as file:
        written = json.loads(file.metadata()["training"])
    assert written["steps"] == 8 and written["seed"] == 5
    assert set(written["held_out_clean"]) >= {"open", "wide", "round", "teeth", "phones"}


def test_training_on_the_held_out_voices_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="both corpora"):
        files = tmp_path / "v.safetensors", tmp_path / "v.pt"
        pretrain(_corpus("a"), _corpus("a"), *files, LoopSettings(steps=1), SMALL_BATCH, TINY)


def test_corpora_with_other_phones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tables of phones"):
        files = tmp_path / "v.safetensors", tmp_path / "v.pt"
        other = _corpus("b", phones=PHONES[::-1])
        pretrain(_corpus("a"), other, *files, LoopSettings(steps=1), SMALL_BATCH, TINY)
