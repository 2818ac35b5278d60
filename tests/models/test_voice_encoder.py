"""The voice encoder: hidden states, levels, chunks, alignment with video frames, files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from comfyui_emo.errors import InputError, WeightsError
from comfyui_emo.models.voice_encoder import (
    VoiceEncoder,
    VoiceEncoderConfig,
    load_voice_encoder,
    resample_features,
    save_voice_encoder,
)

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
BASE_LIKE = replace(
    VoiceEncoderConfig.wav2vec2_base(),
    layers=3,
    width=16,
    heads=2,
    feedforward_width=24,
    conv_channels=(8,) * 7,
    position_kernel=16,
    position_groups=2,
)


def _encoder(config: VoiceEncoderConfig) -> VoiceEncoder:
    torch.manual_seed(0)
    return VoiceEncoder(config).eval()


def _voice(seconds: float, seed: int = 1) -> torch.Tensor:
    return 0.1 * torch.randn(1, round(16000 * seconds), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("samples", [400, 719, 720, 16000])
def test_every_20_ms_give_one_feature_per_block(samples: int) -> None:
    features = _encoder(TINY)(torch.randn(2, samples))
    assert features.shape == (2, (samples - 400) // 320 + 1, 2, 16)
    assert features.shape[1] == TINY.feature_count(samples)


def test_default_is_the_small_avatar_encoder_at_50_hz() -> None:
    encoder = _encoder(VoiceEncoderConfig())
    assert sum(parameter.numel() for parameter in encoder.parameters()) < 600_000
    config = encoder.config
    assert (config.feature_rate_hz, config.receptive_field_samples, config.first_feature_s) == (
        50,
        400,
        0.0125,
    )


def test_base_configuration_is_wav2vec2_base() -> None:
    with torch.device("meta"):
        encoder = VoiceEncoder(VoiceEncoderConfig.wav2vec2_base())
    # facebook/wav2vec2-base-960h without its letters' head and the embedding of masked time steps.
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 94_371_712 - 768


@pytest.mark.parametrize("norm_first", [False, True])
def test_hidden_states_are_those_of_transformers(norm_first: bool) -> None:
    config = replace(BASE_LIKE, norm_first=norm_first)
    encoder = _encoder(config)
    voice = encoder.normalise(_voice(0.5))
    with torch.no_grad():
        ours = encoder.encode_normalised(voice)
        theirs = encoder.wav2vec2(voice, output_hidden_states=True)
    states = [*theirs.hidden_states[1:-1], theirs.last_hidden_state]
    torch.testing.assert_close(ours, torch.stack(states, dim=2), rtol=1e-5, atol=1e-5)


def test_features_are_layer_normalised_if_the_configuration_says_so() -> None:
    features = _encoder(TINY)(_voice(0.5)).detach()
    torch.testing.assert_close(features.mean(-1), torch.zeros_like(features.mean(-1)), atol=1e-5, rtol=0)
    assert float(features.std(-1, correction=0).mean()) == pytest.approx(1, abs=1e-2)


def test_level_does_not_matter_but_silence_stays_silence() -> None:
    encoder = _encoder(TINY)
    voice = _voice(0.5)
    torch.testing.assert_close(encoder(voice), encoder(voice * 4), rtol=0, atol=0.02)
    hiss = encoder.normalise(voice * 1e-4)
    assert hiss.abs().max() < 0.05
    silence = encoder(torch.zeros(1, 8000))
    assert torch.isfinite(silence).all()
    assert torch.isfinite(encoder(torch.full((1, 8000), 0.5))).all()


def test_waveform_is_left_alone_if_the_configuration_says_so() -> None:
    voice = _voice(0.1)
    assert torch.equal(_encoder(replace(TINY, normalise_waveform=False)).normalise(voice), voice)


@pytest.mark.parametrize("seconds", [0.3, 2.0, 3.17])
def test_chunks_equal_the_whole(seconds: float) -> None:
    encoder = _encoder(TINY)
    voice = _voice(seconds)
    overlap_s = (TINY.reach_features or 0) / 50
    whole, chunks = encoder(voice), encoder.encode_long(voice, chunk_s=0.5, overlap_s=overlap_s)
    torch.testing.assert_close(chunks, whole, rtol=1e-4, atol=1e-4)


def test_what_lies_beyond_the_reach_does_not_matter() -> None:
    encoder = _encoder(TINY)
    voice = encoder.normalise(_voice(2.0))
    changed = voice.clone()
    changed[:, 20000:] = 0
    first_changed = (20000 - 400) // 320
    untouched = first_changed - (TINY.reach_features or 0)
    before, after = encoder.encode_normalised(voice), encoder.encode_normalised(changed)
    torch.testing.assert_close(before[:, :untouched], after[:, :untouched], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(before[:, first_changed + 1 :], after[:, first_changed + 1 :], atol=1e-3)


def test_default_overlap_covers_the_default_reach() -> None:
    reach = VoiceEncoderConfig().reach_features
    assert reach is not None and reach <= 3.0 * 50


def test_too_short_a_voice_is_refused() -> None:
    with pytest.raises(InputError, match="25 ms"):
        _encoder(TINY)(torch.zeros(1, 160))
    with pytest.raises(InputError, match="25 ms"):
        _encoder(TINY).encode_long(torch.zeros(1, 160))


@pytest.mark.parametrize("chunks", [{"chunk_s": 0.0}, {"overlap_s": -1.0}, {"chunk_s": float("nan")}])
def test_unusable_chunks_are_refused(chunks: dict[str, float]) -> None:
    with pytest.raises(InputError, match="chunk_s"):
        _encoder(TINY).encode_long(_voice(0.1), **chunks)


@pytest.mark.parametrize(
    "change",
    [
        {"layers": 0},
        {"heads": 5},
        {"conv_kernels": (10, 3)},
        {"conv_norm": "batch"},
        {"level_floor": 0.0},
        {"attention_radius": 0},
        {"position_groups": 5},
    ],
)
def test_configuration_is_checked(change: dict) -> None:
    with pytest.raises(InputError, match=next(iter(change))):
        replace(TINY, **change)


@settings(deadline=None, max_examples=60)
@given(
    fps=st.floats(5, 120),
    start=st.floats(-2, 2),
    slope=st.floats(-2, 2),
)
def test_a_ramp_keeps_its_time(fps: float, start: float, slope: float) -> None:
    """Features that grow with the moment they stand for give frames that grow with the frame's centre."""
    moments_s = 0.0125 + 0.02 * torch.arange(200, dtype=torch.float64)
    features = (start + slope * moments_s)[:, None, None]
    frame_count = int(3.9 * fps)
    frames = resample_features(features, frame_count, fps)[:, 0, 0]
    centres_s = (torch.arange(frame_count, dtype=torch.float64) + 0.5) / fps
    whole = (centres_s - 0.5 / fps >= 0.0125) & (centres_s + 0.5 / fps <= moments_s[-1])
    torch.testing.assert_close(frames[whole], (start + slope * centres_s)[whole], rtol=0, atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(
    fps=st.sampled_from([8.0, 23.976, 24.0, 25.0, 29.97, 30.0, 50.0, 60.0, 100.0]), count=st.integers(1, 90)
)
def test_constant_features_stay_constant_even_past_the_end(fps: float, count: int) -> None:
    frames = resample_features(torch.full((30, 2, 3), 0.7), count, fps)
    torch.testing.assert_close(frames, torch.full((count, 2, 3), 0.7))


def test_one_feature_lands_on_the_frame_that_shows_its_moment() -> None:
    features = torch.zeros(100, 1, 1)
    features[51] = 1  # stands for 1.0325 s, in frame 25 (1.00 ... 1.04 s) at 25 fps
    frames = resample_features(features, 50, 25.0)[:, 0, 0]
    assert int(frames.argmax()) == 25
    assert float(frames.sum()) == pytest.approx(0.5)  # 20 ms of 40 ms


@pytest.mark.parametrize(("count", "frames", "fps"), [(0, 10, 25.0), (10, 0, 25.0), (10, 5, 0.0)])
def test_resampling_refuses_nothing_from_nothing(count: int, frames: int, fps: float) -> None:
    with pytest.raises(InputError, match="fps"):
        resample_features(torch.zeros(count, 1, 1), frames, fps)


def test_features_at_gives_one_row_per_frame() -> None:
    encoder = _encoder(TINY)
    voice = _voice(1.0)[0]
    frames = encoder.features_at(voice, 25, 25.0)
    assert frames.shape == (25, 2, 16)
    torch.testing.assert_close(frames, resample_features(encoder(voice[None])[0], 25, 25.0))


def test_a_saved_encoder_loads_as_it_was(tmp_path: Path) -> None:
    encoder, path = _encoder(TINY), tmp_path / "voice.safetensors"
    save_voice_encoder(path, encoder, {"steps": 3})
    loaded = load_voice_encoder(path)
    assert loaded.config == TINY and not loaded.training
    assert torch.equal(loaded(_voice(0.2)), encoder(_voice(0.2)))


def _resave(path: Path, **metadata: str) -> None:
    save_file(load_file(path), path, metadata)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda path: path.unlink(), "No such file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "safetensors"),
        (lambda path: path.write_bytes(b"GIF89a"), "safetensors"),
        (lambda path: _resave(path, kind="autoencoder"), "autoencoder"),
        (lambda path: _resave(path, kind="voice_encoder"), "config"),
        (lambda path: _resave(path, kind="voice_encoder", config='{"layer": 2}'), "layer"),
        (lambda path: _resave(path, kind="voice_encoder", config=json.dumps({"layers": 2})), "shape|Missing"),
    ],
)
def test_a_wrong_file_is_named_and_explained(tmp_path: Path, damage, named: str) -> None:
    path = tmp_path / "voice.safetensors"
    save_voice_encoder(path, _encoder(TINY))
    damage(path)
    with pytest.raises(WeightsError, match=named) as caught:
        load_voice_encoder(path)
    assert str(path) in caught.value.got
