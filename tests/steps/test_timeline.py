"""The video is as long as the voice to within one frame, and every sample has its frame."""

import math
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from comfyui_emo.errors import InputError
from comfyui_emo.steps.timeline import ClipSpan, Timeline, parse_fps

RATES_HZ = st.one_of(
    st.sampled_from([8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 192000]),
    st.integers(8000, 192000),
)
FPS = st.one_of(
    st.sampled_from([24, 25, 30, 60, 23.976, 29.97, 59.94, "30000/1001", "12.5"]),
    st.integers(1, 240),
    st.fractions(1, 240, max_denominator=1001),
)
TIMELINES = st.builds(Timeline, st.integers(1, 192000 * 3600), RATES_HZ, FPS, st.integers(1, 64))


@given(TIMELINES)
@example(Timeline(1, 192000, 1, 1))
@example(Timeline(44100 * 3600, 44100, "30000/1001", 12))
def test_video_is_as_long_as_the_voice_to_within_one_frame(timeline):
    voice_s = Fraction(timeline.sample_count, timeline.sample_rate_hz)
    video_s = timeline.frame_count / timeline.fps
    assert timeline.frame_count >= 1
    assert 0 <= video_s - voice_s < 1 / timeline.fps
    assert timeline.duration_s == pytest.approx(float(video_s))


@given(TIMELINES, st.data())
def test_spans_of_frames_lie_end_to_end_and_cover_the_voice(timeline, data):
    assert timeline.samples_of_frame(0)[0] == 0
    assert timeline.samples_of_frame(timeline.frame_count - 1)[1] == timeline.sample_count
    frame = data.draw(st.integers(0, timeline.frame_count - 1))
    start, end = timeline.samples_of_frame(frame)
    assert start <= end
    if frame + 1 < timeline.frame_count:
        assert timeline.samples_of_frame(frame + 1)[0] == end
    # Half a sample is the most that a whole-numbered sample index can be off: there is no drift.
    exact = frame * timeline.sample_rate_hz / timeline.fps
    assert abs(start - exact) <= Fraction(1, 2) or start == timeline.sample_count


@given(TIMELINES.filter(lambda timeline: timeline.clip_count < 2000))
def test_clips_keep_every_frame_once(timeline):
    clips = list(timeline.clips())
    assert len(clips) == timeline.clip_count
    assert all(clip.first_frame == i * timeline.frames_per_clip for i, clip in enumerate(clips))
    assert {clip.frame_count for clip in clips} == {timeline.frames_per_clip}
    assert all(clip.kept_frames == timeline.frames_per_clip for clip in clips[:-1])
    assert 1 <= clips[-1].kept_frames <= timeline.frames_per_clip
    assert sum(clip.kept_frames for clip in clips) == timeline.frame_count
    assert timeline.padded_frame_count == sum(clip.frame_count for clip in clips)


def test_one_hour_at_an_ntsc_rate_has_no_drift():
    timeline = Timeline(44100 * 3600, 44100, 29.97, 12)
    assert timeline.frame_count == 107893  # 3600 * 30000 / 1001 = 107892.1
    assert timeline.samples_of_frame(100000)[0] == round(Fraction(100000 * 44100 * 1001, 30000))
    assert timeline.time_of_frame_s(30000) == pytest.approx(1001.0)


def test_last_clip_is_cut_not_dropped():
    timeline = Timeline(16000 * 2, 16000, 25, 12)
    full = [ClipSpan(first_frame, 12, 12) for first_frame in (0, 12, 24, 36)]
    assert list(timeline.clips()) == [*full, ClipSpan(48, 12, 2)]


@pytest.mark.parametrize(
    ("given_as", "meant"),
    [
        (25, Fraction(25)),
        (29.97, Fraction(30000, 1001)),
        (23.976, Fraction(24000, 1001)),
        (23.98, Fraction(24000, 1001)),
        (59.94, Fraction(60000, 1001)),
        ("29.97", Fraction(30000, 1001)),
        ("30000/1001", Fraction(30000, 1001)),
        (Fraction(25, 2), Fraction(25, 2)),
        (12.5, Fraction(25, 2)),
        ("25", Fraction(25)),
        (30.0, Fraction(30)),
        (8.333333, Fraction(25, 3)),
    ],
)
def test_frame_rates_are_exact(given_as, meant):
    assert parse_fps(given_as) == meant
    assert Timeline(100, 100, given_as, 1).fps == meant


@pytest.mark.parametrize(
    "fps", [0, -25, 0.5, 1000, math.nan, math.inf, "", "fast", "25/0", "nan", None, Fraction(0)]
)
def test_bad_frame_rates_are_refused(fps):
    with pytest.raises(InputError, match=r"Got: fps .*Allowed: a frame rate from 1 to 240.*Do: set fps"):
        Timeline(16000, 16000, fps, 12)


@pytest.mark.parametrize("name", ["sample_count", "sample_rate_hz", "frames_per_clip"])
def test_counts_below_one_are_refused(name):
    counts = {"sample_count": 16000, "sample_rate_hz": 16000, "frames_per_clip": 12} | {name: 0}
    with pytest.raises(InputError, match=f"Got: {name} 0"):
        Timeline(**counts, fps=25)


def test_frames_and_clips_beyond_the_end_are_refused():
    timeline = Timeline(16000, 16000, 25, 12)
    with pytest.raises(IndexError, match="frame 25 of a video of 25 frames"):
        timeline.samples_of_frame(25)
    with pytest.raises(IndexError, match="clip 3 of 3"):
        timeline.clip(3)
