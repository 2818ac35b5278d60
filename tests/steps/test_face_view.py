"""What the face region shows of a picture: boxes, the part cut out, the small copy."""

import pytest
import torch
from PIL import Image

from comfyui_emo.steps.face_region import FaceRegion
from comfyui_emo.steps.face_view import FACE_COLOUR, MOVEMENT_COLOUR, cut_out, draw_boxes, save_small_copy
from comfyui_emo.steps.portrait import Portrait


@pytest.fixture
def portrait() -> Portrait:
    return Portrait(torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0)), "a picture")


def test_the_part_cut_out_is_the_box_in_whole_pixels(portrait):
    assert torch.equal(cut_out(portrait, FaceRegion(10, 5, 20, 30)), portrait.pixels[:, :, 5:35, 10:30])
    # Every pixel that the box touches; none beyond the picture.
    assert torch.equal(cut_out(portrait, FaceRegion(10.6, 5.2, 20, 30)), portrait.pixels[:, :, 5:36, 10:31])
    assert cut_out(portrait, FaceRegion(-5, 40, 500, 500)).shape == (1, 3, 8, 64)


def test_both_boxes_are_drawn_as_outlines_and_the_rest_is_kept(portrait):
    drawn = draw_boxes(portrait, FaceRegion(20, 15, 20, 20), FaceRegion(12, 8, 36, 34))
    expected = torch.zeros(48, 64, dtype=torch.bool)  # lines of 2 pixels inside the edges
    for columns, rows in ((slice(12, 48), slice(8, 42)), (slice(20, 40), slice(15, 35))):
        expected[rows, columns] = True
        expected[rows.start + 2 : rows.stop - 2, columns.start + 2 : columns.stop - 2] = False
    assert torch.equal((drawn != portrait.pixels).any(1)[0], expected)
    torch.testing.assert_close(drawn[0, :, 15, 20], torch.tensor(FACE_COLOUR))
    torch.testing.assert_close(drawn[0, :, 8, 12], torch.tensor(MOVEMENT_COLOUR))


def test_a_box_thinner_than_the_lines_paints_nothing_else(portrait):
    drawn = draw_boxes(portrait, FaceRegion(0, 0, 1, 1), FaceRegion(0, 0, 3, 3))
    changed = (drawn != portrait.pixels).any(1)[0]
    assert changed[:3, :3].all() and changed.sum() == 9


@pytest.mark.parametrize(("longest_px", "size"), [(32, (32, 24)), (100, (64, 48))])
def test_the_small_copy_is_never_larger_than_the_picture(tmp_path, portrait, longest_px, size):
    save_small_copy(portrait, tmp_path / "copy.jpg", longest_px)
    with Image.open(tmp_path / "copy.jpg") as copy:
        assert copy.size == size and copy.format == "JPEG"
        mean = torch.tensor(list(copy.convert("RGB").tobytes())).float().mean() / 255
    assert mean == pytest.approx(float(portrait.pixels.mean()), abs=0.02)
