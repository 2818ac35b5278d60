"""The mark in the pixels: unseen, read back after what videos go through, not found where there is none."""

import io
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from comfyui_emo.errors import InputError
from comfyui_emo.steps.marking import pattern as carrier
from comfyui_emo.steps.marking.watermark import Watermark
from comfyui_emo.steps.marking.watermark_reading import FALSE_ALARM_BOUND, WatermarkReader

PORTRAIT = Path(__file__).resolve().parents[3] / "assets" / "portraits" / "ada.png"
PAYLOAD = 0xDEADBEEF
FRAMES = 24


def portrait(size_px: int = 128) -> torch.Tensor:
    """The first bundled portrait as a still clip [F, 3, S, S]."""
    picture = Image.open(PORTRAIT).convert("RGB")
    pixels = np.array(picture.resize((size_px, size_px)))
    return (torch.from_numpy(pixels).permute(2, 0, 1).float() / 255).expand(FRAMES, -1, -1, -1)


@pytest.fixture(scope="module")
def plain() -> torch.Tensor:
    return portrait()


@pytest.fixture(scope="module")
def marked(plain) -> torch.Tensor:
    frames = Watermark(PAYLOAD).mark(plain)
    return (frames * 255).round() / 255  # as they are stored


def read(frames: torch.Tensor):
    reader = WatermarkReader()
    reader.add(carrier.luma_of(frames))
    return reader.read()


def coded(frames: torch.Tensor, crf: int, codec: str = "libx264") -> torch.Tensor:
    """Frames through a video coder."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=25, options={"crf": str(crf)})
        stream.height, stream.width = frames.shape[-2:]
        stream.pix_fmt = "yuv420p"
        for pixels in (frames * 255).round().byte().permute(0, 2, 3, 1).numpy():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as container:
        decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    return torch.from_numpy(decoded).permute(0, 3, 1, 2).float() / 255


def test_the_mark_is_forty_decibels_below_the_picture(plain, marked):
    error = (marked - plain).square().mean()
    assert 40.5 <= -10 * torch.log10(error) <= 42.0


@pytest.mark.parametrize("crf", [18, 28])
def test_it_survives_coding(marked, crf):
    reading = read(coded(marked, crf))
    assert reading.payload == PAYLOAD
    assert not reading.mirrored
    assert (reading.zoom, reading.angle_degrees) == pytest.approx((1.0, 0.0), abs=0.01)


def _resized(frames: torch.Tensor, size_px: int) -> torch.Tensor:
    scaled = F.interpolate(frames, size=(size_px, size_px), mode="bicubic", antialias=True)
    return scaled.clamp(0, 1)


def _turned(frames: torch.Tensor, degrees: float, zoom: float = 1.0) -> torch.Tensor:
    angle = torch.deg2rad(torch.tensor(degrees))
    matrix = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    matrix = F.pad(matrix / zoom, (0, 1))
    grid = F.affine_grid(matrix.expand(len(frames), -1, -1), list(frames.shape), align_corners=False)
    return F.grid_sample(frames, grid, align_corners=False, padding_mode="border")


CHANGES = {
    "half the size and back": lambda frames: _resized(_resized(frames, 64), 128),
    "a tenth cut off": lambda frames: frames[..., 6:-6, 8:-4],
    "a tenth cut off, old size again": lambda frames: _resized(frames[..., 6:-6, 6:-6], 128),
    "brighter": lambda frames: (frames * 1.1).clamp(0, 1),
    "darker": lambda frames: frames * 0.9,
    "mirrored": lambda frames: frames.flip(-1),
    "turned": lambda frames: _turned(frames, 2.0),
    "turned, zoomed and mirrored": lambda frames: _turned(frames, -1.3, 1.04).flip(-1),
}


@pytest.mark.parametrize("name", CHANGES)
def test_it_survives_changes_of_the_picture(marked, name):
    reading = read(coded(CHANGES[name](marked), 23))
    assert reading is not None and reading.payload == PAYLOAD
    assert reading.mirrored == ("mirrored" in name)


def test_any_part_of_the_video_is_enough(marked):
    assert read(marked[5:20]).payload == PAYLOAD


def test_the_same_frames_get_the_same_mark(plain, marked):
    clips = [Watermark(PAYLOAD).mark(clip) for clip in plain.split(12)]
    assert torch.equal((torch.cat(clips) * 255).round() / 255, marked)


def test_a_head_that_moves_leaves_the_mark_of_its_background_as_it_is(plain):
    """What changes over time has to be coded; so a mark changes only where the whole picture does."""
    moving = plain.clone()
    moving[16:, :, 40:90, 40:90] = plain[16:, :, 38:88, 40:90]
    error = Watermark(PAYLOAD).mark(moving) - moving
    assert torch.allclose(error[0, :, :30], error[-1, :, :30], atol=1e-6)
    cut = torch.cat([plain[:16], 1 - plain[16:]])
    error = Watermark(PAYLOAD).mark(cut) - cut
    assert not torch.allclose(error[0, :, :30], error[-1, :, :30], atol=1e-3)
    assert read(cut + error).payload == PAYLOAD


def test_a_large_wide_picture():
    wide = F.interpolate(portrait(320), size=(288, 384), mode="bicubic").clamp(0, 1)[:12]
    frames = Watermark(7).mark(wide)
    assert -10 * torch.log10((frames - wide).square().mean()) >= 44
    assert read(coded(frames, 28)).payload == 7


def test_nothing_is_found_where_nothing_is(plain):
    noise = torch.rand(12, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    for frames in (
        plain,
        noise,
        torch.zeros(3, 3, 64, 64),
        torch.ones(3, 3, 40, 200),
        plain[:1, :, :17, :17],
    ):
        assert read(frames) is None


def test_false_alarms_are_rarer_than_one_in_a_million():
    assert FALSE_ALARM_BOUND <= 1e-6


def test_the_pattern_is_the_one_of_this_format():
    """Videos marked by earlier versions stay readable only while this holds."""
    values = carrier.pattern().spread(torch.eye(1, carrier.Pattern.value_count))[0]
    assert values.flatten()[:4].tolist() == pytest.approx(FIRST_CELLS, abs=1e-6)


FIRST_CELLS = [0.0088444, 0.0105511, 0.0099923, 0.0076552]


@pytest.mark.parametrize("payload", [-1, 2**32])
def test_a_payload_that_cannot_be(payload):
    with pytest.raises(InputError, match=r"32 bits"):
        Watermark(payload)


def test_frames_that_are_too_small(plain):
    with pytest.raises(InputError, match=r"64x128 pixels.*96 pixels or more"):
        Watermark(1).mark(plain[..., :64])
