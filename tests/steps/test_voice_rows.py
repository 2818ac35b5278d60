"""What frames hear, against recordings of the families' own voice chains."""

from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from families import FIXTURES, SMALL_HALLO, SMALL_V_EXPRESS, recorded, relative_error, small_networks
from safetensors.torch import save_file

from comfyui_emo.errors import InputError, WeightsError
from comfyui_emo.models.audio_layers import feature_windows
from comfyui_emo.models.checkpoints.external_files import is_wav2vec2, is_whisper, wav2vec2_from, whisper_from
from comfyui_emo.models.checkpoints.weight_source import WeightSource, open_weights
from comfyui_emo.models.spectrogram_encoder import SpectrogramEncoderConfig, log_mel
from comfyui_emo.models.voice_encoder import VoiceEncoderConfig
from comfyui_emo.steps.timeline import Timeline
from comfyui_emo.steps.voice_rows import frame_rows, voice_rows

HALLO = recorded("hallo", "audio_encoder")
EXPRESS = recorded("v-express", "pipeline")
WHISPER = recorded("echomimic", "whisper_encoder")
EXACT = 1e-5


def weights_of(family: str, name: str, prefix: str) -> WeightSource:
    """The weights among a recording's tensors, as a file of their own."""
    source = open_weights(FIXTURES / family / f"{name}.safetensors")
    return replace(source, tensors={n: t for n, t in source.tensors.items() if n.startswith(prefix)})


def small_wav2vec2(layers: int) -> VoiceEncoderConfig:
    return replace(
        VoiceEncoderConfig.wav2vec2_base(),
        layers=layers,
        width=24,
        heads=4,
        feedforward_width=32,
        conv_channels=(16,) * 7,
        position_kernel=16,
        position_groups=4,
    )


@torch.no_grad()
def test_hallos_voice_chain_is_exact():
    source = weights_of("hallo", "audio_encoder", "wav2vec.")
    assert is_wav2vec2(source) and not is_whisper(source)
    encoder = wav2vec2_from(source, small_wav2vec2(3))
    samples, config = HALLO["waveform16k"], SMALL_HALLO.config.audio
    assert relative_error(encoder.normalise(samples[None])[0], HALLO["input_values_normalized"]) < EXACT
    timeline = Timeline(len(samples), 16000, 25, 16)
    assert timeline.frame_count == int(HALLO["audio_length"])
    assert timeline.padded_frame_count == int(HALLO["seq_len"])
    states = encoder.encode_frames(HALLO["input_values_padded"].view(1, -1), timeline.padded_frame_count)
    assert relative_error(states[0], HALLO["hidden_stack"]) < EXACT
    numbered = torch.arange(timeline.padded_frame_count)[None, :, None]
    assert torch.equal(feature_windows(numbered, config.window)[0, :, :, 0], HALLO["window_index"])
    rows = voice_rows(encoder, samples, timeline.padded_frame_count, Fraction(25), config)
    assert relative_error(rows[0].unflatten(-1, (3, 24)), HALLO["audio_window"]) < EXACT
    tokens = small_networks(SMALL_HALLO).audio_projection(rows)
    assert relative_error(tokens, HALLO["audio_tokens"]) < EXACT


@torch.no_grad()
def test_v_expresss_voice_chain_is_exact():
    encoder = wav2vec2_from(weights_of("v-express", "pipeline", "wav2vec."), small_wav2vec2(2))
    samples = EXPRESS["waveform16k"]
    assert relative_error(encoder(samples[None])[:, :, -1], EXPRESS["wav2vec_last_hidden"]) < EXACT
    rows = voice_rows(encoder, samples, 10, Fraction(30), SMALL_V_EXPRESS.config.audio)
    tokens = small_networks(SMALL_V_EXPRESS).audio_projection(rows)
    assert relative_error(tokens, EXPRESS["audio_tokens_cfg"][1:]) < EXACT


@torch.no_grad()
def test_echomimics_voice_chain_is_exact():
    source = weights_of("echomimic", "whisper_encoder", "encoder.")
    assert is_whisper(source) and not is_wav2vec2(source)
    encoder = whisper_from(source, SpectrogramEncoderConfig(80, 50, 32, 2, 3))
    assert relative_error(log_mel(WHISPER["waveform16k"]), WHISPER["log_mel"]) < EXACT
    states = encoder(WHISPER["waveform16k"])
    assert relative_error(states.transpose(0, 1)[None], WHISPER["embeddings_b_layers_t_c"]) < EXACT
    two_segments = encoder(torch.cat([WHISPER["waveform16k"], WHISPER["waveform16k"][:8000]]))
    assert len(two_segments) == 75


@pytest.mark.parametrize("fps", [24, 25, 30])
def test_frames_hear_the_recorded_rows(fps):
    wanted = recorded("echomimic", "unit_outputs")[f"chunk_index_fps{fps}"]
    assert torch.equal(frame_rows(60, len(wanted), Fraction(fps)), wanted)


def test_another_file_in_the_voice_encoders_place_is_named(tmp_path):
    save_file(
        {"wav2vec2.feature_extractor.conv_layers.0.conv.weight": torch.zeros(2)}, tmp_path / "a.safetensors"
    )
    with pytest.raises(
        WeightsError, match=r"seems to be a wav2vec 2.0 voice encoder.*facebook/wav2vec2-base"
    ):
        wav2vec2_from(open_weights(tmp_path / "a.safetensors"), small_wav2vec2(1))


def test_a_voice_of_less_than_a_row_is_refused():
    encoder = whisper_from(
        weights_of("echomimic", "whisper_encoder", "encoder."), SpectrogramEncoderConfig(80, 50, 32, 2, 3)
    )
    with pytest.raises(InputError, match="400 samples or more"):
        encoder(torch.zeros(100))


@torch.no_grad()
def test_a_voice_shorter_than_the_windows_keeps_its_pace():
    encoder = wav2vec2_from(weights_of("v-express", "pipeline", "wav2vec."), small_wav2vec2(2))
    samples, config = EXPRESS["waveform16k"], SMALL_V_EXPRESS.config.audio
    frames = 2 * len(samples) * 30 // 16000
    rows = voice_rows(encoder, samples, frames, Fraction(30), config)
    silence = torch.zeros(round(frames * 16000 / 30) - len(samples))
    heard = encoder.encode_normalised(torch.cat([encoder.normalise(samples[None])[0], silence])[None])
    wanted = torch.nn.functional.interpolate(heard[:, :, -1].transpose(1, 2), size=2 * frames, mode="linear")
    # A frame's first own row lies behind the rows that it hears of the frames before.
    assert relative_error(rows[0, :, 2 * config.window], wanted[0, :, ::2].T) < EXACT
