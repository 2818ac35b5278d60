"""A camera that moves carries the watermark with it; heads that move, and cuts, do not."""

import io

import av
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from comfyui_emo.steps.marking.camera import CameraTracker, small_luma
from comfyui_emo.steps.marking.pattern import luma_of
from comfyui_emo.steps.marking.watermark import Watermark
from comfyui_emo.steps.marking.watermark_reading import WatermarkReader

PAYLOAD = 0xDEADBEEF
SIDE_PX, FRAMES, STEP_PX = 128, 40, (0.25, -0.5)  # down, right


def rough(seed: int, side_px: int) -> torch.Tensor:
    """A picture [3, S, S] of coloured squares of every size."""
    rng = np.random.default_rng(seed)
    picture = np.full((3, side_px, side_px), 0.5, np.float32)
    for size in rng.integers(6, 40, 300):
        top, left = rng.integers(-size, side_px, 2)
        picture[:, max(top, 0) : top + size, max(left, 0) : left + size] = rng.uniform(0.2, 0.8, (3, 1, 1))
    return torch.from_numpy(picture)


def pan(seed: int = 0) -> torch.Tensor:
    """A picture that the camera moves over, [F, 3, S, S]."""
    side = 2 * SIDE_PX
    whole = rough(seed, side)[None]
    frames = []
    for frame in range(FRAMES):
        down, right = (2 * frame * step / side for step in STEP_PX)
        matrix = torch.tensor([[[0.5, 0, -right], [0, 0.5, -down]]])
        grid = F.affine_grid(matrix, [1, 3, SIDE_PX, SIDE_PX], align_corners=False)
        frames.append(F.grid_sample(whole, grid, align_corners=False))
    return torch.cat(frames)


def coded(frames: torch.Tensor, crf: int) -> tuple[torch.Tensor, int]:
    """Frames through a video coder, and its bytes."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": str(crf)})
        stream.height = stream.width = SIDE_PX
        stream.pix_fmt = "yuv420p"
        for pixels in (frames * 255).round().byte().permute(0, 2, 3, 1).numpy():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")))
        container.mux(stream.encode(None))
    size = len(file.getvalue())
    file.seek(0)
    with av.open(file) as container:
        decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    return torch.from_numpy(decoded).permute(0, 3, 1, 2).float() / 255, size


@pytest.fixture(scope="module")
def panned() -> torch.Tensor:
    return pan()


@pytest.fixture(scope="module")
def marked(panned) -> torch.Tensor:
    return Watermark(PAYLOAD).mark(panned)


def test_a_pan_is_followed(panned):
    places = CameraTracker().follow(small_luma(panned))
    wanted = torch.arange(FRAMES)[:, None] * torch.tensor(STEP_PX)
    assert float((places - wanted).abs().max()) < 1.0  # it starts only when most of the picture has changed
    assert float((places - wanted).abs().mean()) < 0.3
    assert torch.allclose(CameraTracker().follow(small_luma(255 * panned[:, 0])), places, atol=0.7)


def test_what_moves_before_the_picture_is_no_camera(panned):
    frames = rough(1, SIDE_PX).repeat(FRAMES, 1, 1, 1)
    frames[:, :, 40:100, 40:100] = panned[:, :, 40:100, 40:100]
    assert not CameraTracker().follow(small_luma(frames)).any()


def test_a_cut_is_no_move():
    frames = torch.stack([rough(1, SIDE_PX)] * 4 + [rough(2, SIDE_PX)] * 4)
    assert not CameraTracker().follow(small_luma(frames)).any()


def test_the_mark_goes_with_the_picture(panned, marked):
    """Else it has to be coded anew in every frame."""
    error = marked - panned
    assert -10 * torch.log10(error.square().mean()) >= 40
    carried = error[-1].roll((-10, 19), (1, 2))  # 39 frames of (0.25, -0.5) pixels
    likeness = [
        float(F.cosine_similarity(error[8, :, 20:-30, 30:-20].flatten(), other.flatten(), dim=0))
        for other in (carried.roll((2, -4), (1, 2))[:, 20:-30, 30:-20], error[-1, :, 20:-30, 30:-20])
    ]
    assert likeness[0] > 0.5 > 0.2 > abs(likeness[1])


@pytest.mark.parametrize("crf", [18, 28])
def test_it_is_read_and_costs_little(panned, marked, crf):
    (frames, size), (_, plain_size) = coded(marked, crf), coded(panned, crf)
    reader = WatermarkReader()
    for part in frames.split(7):
        reader.add(luma_of(part))
    assert reader.read().payload == PAYLOAD
    assert size < 1.12 * plain_size


def test_a_mark_that_stood_still_is_read_as_well(panned):
    """As earlier versions made them."""
    standing = Watermark(PAYLOAD).mark(panned[:1]) - panned[:1]
    reader = WatermarkReader()
    reader.add(luma_of((panned + standing).clamp(0, 1)))
    assert reader.read().payload == PAYLOAD
