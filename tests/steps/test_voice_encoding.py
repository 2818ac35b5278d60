"""Voice features in one piece and window by window."""

from types import SimpleNamespace

import pytest
import torch

from comfyui_emo.models.audio_layers import feature_windows
from comfyui_emo.models.voice_encoder import VoiceEncoder, VoiceEncoderConfig
from comfyui_emo.steps.timeline import Timeline
from comfyui_emo.steps.voice import Voice
from comfyui_emo.steps.voice_encoding import VoiceStream, encode_voice

CPU = torch.device("cpu")
FRAMES_PER_CLIP, REACH = 12, 2


@pytest.fixture(scope="module")
def encoder() -> VoiceEncoder:
    torch.manual_seed(0)
    config = VoiceEncoderConfig(
        layers=2, width=16, heads=2, feedforward_width=24, conv_channels=(8,) * 7, position_kernel=7,
        position_groups=2, attention_radius=5,
    )  # fmt: skip
    return VoiceEncoder(config).eval()


def make_voice(seconds: float, rate_hz: int) -> Voice:
    noise = torch.randn(round(seconds * rate_hz), generator=torch.Generator().manual_seed(1))
    return Voice(0.1 * noise * torch.linspace(0.2, 1, len(noise)) + 0.01, rate_hz, "test")


def timeline_of(voice: Voice, fps=25) -> Timeline:
    return Timeline(voice.sample_count, voice.sample_rate_hz, fps, FRAMES_PER_CLIP)


@pytest.mark.parametrize(
    ("seconds", "rate_hz", "fps"),
    [
        (0.05, 16000, 25),
        (3, 16000, 25),
        (22.9, 16000, 25),  # one chunk, longer than the others are
        (23.3, 44100, 25),
        (61.7, 16000, "30000/1001"),
        (45, 8000, 8),
        (41, 16000, 1),
        (20.01, 16000, 120),
    ],
)
def test_windows_equal_those_of_the_whole(encoder, seconds, rate_hz, fps):
    voice = make_voice(seconds, rate_hz)
    timeline = timeline_of(voice, fps)
    config = SimpleNamespace(audio=SimpleNamespace(features="resampled"))
    networks = SimpleNamespace(voice_encoder=encoder, config=config)
    whole = encode_voice(networks, voice, timeline, CPU)
    stream = VoiceStream(encoder, voice, timeline, CPU)
    for span in timeline.clips():
        wanted = feature_windows(whole, REACH, span.first_frame, span.frame_count)
        got = stream.windows(span.first_frame, span.frame_count, REACH)
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)
    parts = list(stream.parts())
    torch.testing.assert_close(torch.cat(parts)[None], whole, rtol=1e-4, atol=1e-4)
    assert max(map(len, parts)) <= 16


def test_any_window_may_come_first_and_gives_the_very_same(encoder):
    voice = make_voice(70, 16000)
    timeline = timeline_of(voice)
    from_start = VoiceStream(encoder, voice, timeline, CPU)
    clips = {
        span.first_frame: from_start.windows(span.first_frame, FRAMES_PER_CLIP, REACH)
        for span in timeline.clips()
    }
    for first in (0, 492, 996, 1500, 12):
        alone = VoiceStream(encoder, voice, timeline, CPU).windows(first, FRAMES_PER_CLIP, REACH)
        assert torch.equal(alone, clips[first])
    assert torch.equal(from_start.windows(492, FRAMES_PER_CLIP, REACH), clips[492])


def test_what_is_held_does_not_grow(encoder):
    voice = make_voice(150, 16000)
    timeline = timeline_of(voice)
    stream = VoiceStream(encoder, voice, timeline, CPU)
    held = []
    for span in timeline.clips():
        stream.windows(span.first_frame, FRAMES_PER_CLIP, REACH)
        chunks = sum(chunk.numel() for chunk in stream._chunks.values())
        held.append((len(stream._samples._held), chunks))
    # A chunk is encoded from 26 s of samples and gives 1000 features of 2 x 16 values.
    assert max(samples for samples, _ in held) < 16000 * 32
    assert max(chunks for _, chunks in held) <= 2 * 1000 * 32
