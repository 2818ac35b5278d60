"""Segments of a video and the file they are joined to."""

import av
import numpy as np
import pytest
import torch

from comfyui_emo.errors import InputError
from comfyui_emo.steps.timeline import Timeline
from comfyui_emo.steps.video_file import VideoWriter, read_video
from comfyui_emo.steps.video_segments import SegmentWriter, clips_per_segment, join_segments
from comfyui_emo.steps.video_streams import PictureFormat
from comfyui_emo.steps.voice import Voice

PICTURE = PictureFormat(64, 48, preset="veryfast")
FRAMES_PER_SEGMENT = 25


def make_voice(count: int, rate_hz: int) -> Voice:
    generator = torch.Generator().manual_seed(0)
    return Voice(0.1 * torch.randn(count, generator=generator), rate_hz, "test")


def moving_frames(count: int) -> torch.Tensor:
    """A smooth picture that moves by a pixel a frame: [N, 3, 48, 64]."""
    rows = torch.linspace(0, 1, 48).view(1, 1, 48, 1)
    columns = (torch.arange(64) + torch.arange(count)[:, None]).view(count, 1, 1, 64)
    waves = 0.5 + 0.4 * torch.sin(columns / torch.tensor([5.0, 9.0, 13.0]).view(1, 3, 1, 1))
    return (waves * (0.5 + 0.5 * rows)).float()


def write_segments(folder, frames: torch.Tensor, timeline: Timeline) -> list:
    paths = []
    for first in range(0, len(frames), FRAMES_PER_SEGMENT):
        paths.append(folder / f"segment-{first}.mp4")
        with SegmentWriter(paths[-1], timeline.fps, PICTURE, first) as segment:
            for part in frames[first : first + FRAMES_PER_SEGMENT].split(12):
                segment.write(part)
    return paths


def decoded(path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="yuv420p") for frame in container.decode(video=0)])


@pytest.mark.parametrize(
    ("count", "rate_hz", "fps"),
    [
        (16000 * 3 + 7, 16000, 25),
        (44100 * 2, 44100, "30000/1001"),
        (12345 * 3, 12345, 30),
        (640, 16000, 25),
        (192000, 96000, 12.5),
    ],
)
def test_the_joined_file_is_that_of_a_run_in_one_piece(tmp_path, count, rate_hz, fps):
    voice = make_voice(count, rate_hz)
    timeline = Timeline(count, rate_hz, fps, 12)
    frames = moving_frames(timeline.frame_count)
    segments = write_segments(tmp_path, frames, timeline)
    join_segments(tmp_path / "joined.mp4", segments, timeline, voice, {"comment": "synthetic"})
    size = (PICTURE.width_px, PICTURE.height_px)
    with VideoWriter(
        tmp_path / "one.mp4", timeline, voice, *size, preset="veryfast", metadata={"comment": "synthetic"}
    ) as writer:
        writer.write(frames)
    with av.open(str(tmp_path / "joined.mp4")) as joined, av.open(str(tmp_path / "one.mp4")) as one:
        for ours, theirs in zip(joined.streams, one.streams, strict=True):
            for name in ("frames", "duration", "start_time", "time_base", "type"):
                assert getattr(ours, name) == getattr(theirs, name), name
        assert joined.streams.video[0].average_rate == one.streams.video[0].average_rate == timeline.fps
        assert joined.duration == one.duration
        ours, theirs = joined.streams.video[0].codec_context, one.streams.video[0].codec_context
        for name in ("colorspace", "color_range", "color_primaries", "color_trc", "pix_fmt"):
            assert getattr(ours, name) == getattr(theirs, name), name
    joined, one = read_video(tmp_path / "joined.mp4"), read_video(tmp_path / "one.mp4")
    assert torch.equal(joined.voice.samples, one.voice.samples)
    assert joined.metadata == one.metadata
    wanted = 255 * frames.permute(0, 2, 3, 1).numpy()
    assert np.abs(joined.frames - wanted).mean() < np.abs(one.frames - wanted).mean() + 0.5


def test_frames_are_copied_as_they_are(tmp_path):
    voice = make_voice(48000, 16000)
    timeline = Timeline(48000, 16000, 25, 12)
    segments = write_segments(tmp_path, moving_frames(75), timeline)
    join_segments(tmp_path / "joined.mp4", segments, timeline, voice)
    assert np.array_equal(decoded(tmp_path / "joined.mp4"), np.concatenate([*map(decoded, segments)]))
    with av.open(str(tmp_path / "joined.mp4")) as container:
        keys = [frame.key_frame for frame in container.decode(video=0)]
        assert [place for place, is_key in enumerate(keys) if is_key] == [0, 25, 50]
        # A player can jump to any of them.
        container.seek(int(2.5 * av.time_base))
        assert next(container.decode(video=0)).time == pytest.approx(2.0)
    content = (tmp_path / "joined.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_segments_of_another_video_are_refused(tmp_path):
    voice = make_voice(48000, 16000)
    timeline = Timeline(48000, 16000, 25, 12)
    segments = write_segments(tmp_path, moving_frames(75), timeline)
    with pytest.raises(InputError, match="2 segments with 50 frames.*the 75 frames"):
        join_segments(tmp_path / "joined.mp4", segments[:2], timeline, voice)
    with pytest.raises(InputError, match="for a voice of 16000"):
        join_segments(tmp_path / "joined.mp4", segments, timeline, make_voice(16000, 16000))
    with pytest.raises(InputError, match="metadata mood"):
        join_segments(tmp_path / "joined.mp4", segments, timeline, voice, {"mood": "x"})


@pytest.mark.parametrize("frames", [torch.zeros(2, 3, 64, 64), torch.full((2, 3, 48, 64), float("nan"))])
def test_frames_that_cannot_be_are_refused(tmp_path, frames):
    with (
        pytest.raises(InputError, match=r"shape|NaN or infinite pixels after frame 50"),
        SegmentWriter(tmp_path / "a.mp4", Timeline(640, 16000, 25, 12).fps, PICTURE, 50) as segment,
    ):
        segment.write(frames)


def test_a_segment_is_at_most_as_long_as_key_frames_lie_apart_anyway():
    assert (clips_per_segment(12), clips_per_segment(250), clips_per_segment(300)) == (20, 1, 1)
