"""Face regions: given, masked, stored, detected; their masks and their room to move."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from comfyui_emo.errors import DependencyError, InputError
from comfyui_emo.steps.face_region import (
    FaceRegion,
    choose_face,
    face_mask,
    find_face_region,
    movement_box,
    parse_region,
    read_mask,
    region_from_mask,
)
from comfyui_emo.steps.portrait import Portrait

LEFT, RIGHT = FaceRegion(5, 5, 10, 10), FaceRegion(40, 5, 20, 20)


def portrait(region: FaceRegion | None = None) -> Portrait:
    return Portrait(torch.zeros(1, 3, 48, 64), "anna.png", region)


def no_detection(_: Portrait) -> list[FaceRegion]:
    raise AssertionError("the detector was asked although the region was known")


def test_region_is_read_from_text_and_written_back():
    region = parse_region(" 120, 80,200.5,220 ")
    assert region == FaceRegion(120, 80, 200.5, 220)
    assert parse_region(str(region)) == region


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1;2;3;4"])
def test_text_that_is_no_region_is_refused(text):
    with pytest.raises(InputError, match="four numbers x,y,width,height, such as 120,80,200,220"):
        parse_region(text)


@pytest.mark.parametrize("numbers", [(0, 0, 0, 5), (0, 0, 5, -1), (math.nan, 0, 5, 5), (0, 0, math.inf, 5)])
def test_empty_or_endless_region_is_refused(numbers):
    with pytest.raises(InputError, match="width and height above 0"):
        FaceRegion(*numbers)


@pytest.mark.parametrize("region", [(-1, 0, 5, 5), (0, -1, 5, 5), (60, 0, 5, 5), (0, 44, 5, 5)])
def test_region_outside_the_picture_is_refused(region):
    with pytest.raises(
        InputError, match=r"in a picture of 64x48 pixels.*x \+ width <= 64, y \+ height <= 48"
    ):
        find_face_region(portrait(), FaceRegion(*region))


def test_given_region_wins_then_mask_then_the_pictures_own_then_detection():
    mask = torch.zeros(48, 64)
    mask[10:20, 30:50] = 1
    own = FaceRegion(1, 2, 3, 4)
    assert find_face_region(portrait(own), LEFT, mask, detector=no_detection) == LEFT
    assert find_face_region(portrait(own), None, mask, detector=no_detection) == FaceRegion(30, 10, 20, 10)
    assert find_face_region(portrait(own), detector=no_detection) == own
    assert find_face_region(portrait(), detector=lambda _: [LEFT]) == LEFT


def test_largest_face_or_the_one_of_an_index_from_left_to_right():
    assert choose_face([LEFT, RIGHT]) == RIGHT
    assert choose_face([RIGHT, LEFT], 0) == LEFT
    assert choose_face([RIGHT, LEFT], 1) == RIGHT
    # Asking for a face by index asks for detection, whatever the picture says of itself.
    assert find_face_region(portrait(RIGHT), index=0, detector=lambda _: [RIGHT, LEFT]) == LEFT


@pytest.mark.parametrize("index", [-1, 2])
def test_face_index_beyond_the_faces_is_refused(index):
    with pytest.raises(InputError, match=f"face index {index}.*0 to 1, counted from left to right"):
        choose_face([LEFT, RIGHT], index)


def test_no_face_says_what_to_do():
    with pytest.raises(InputError) as caught:
        find_face_region(portrait(), detector=lambda _: [])
    assert "anna.png: no face found and no region given (the detector saw none)" in caught.value.got
    assert "region or mask given by hand" in caught.value.allowed
    assert "x,y,width,height in pixels" in caught.value.do
    with pytest.raises(InputError, match="no face found"):
        choose_face([])


def test_no_detector_says_how_to_have_one():
    def missing(_: Portrait) -> list[FaceRegion]:
        raise DependencyError(got="no face detector weights at /x", allowed="YuNet's", do="put yunet there")

    with pytest.raises(InputError, match="no region given .*no face detector weights at /x.*put yunet"):
        find_face_region(portrait(), detector=missing)


def test_region_of_a_mask_is_its_bounding_box():
    mask = torch.zeros(48, 64)
    mask[10, 30], mask[19, 49] = 0.6, 1.0
    mask[0, 0] = 0.5  # not above
    assert region_from_mask(mask, 64, 48) == FaceRegion(30, 10, 20, 10)
    assert region_from_mask(torch.ones(48, 64), 64, 48) == FaceRegion(0, 0, 64, 48)


def test_empty_mask_and_mask_of_another_size_are_refused():
    with pytest.raises(InputError, match="an empty mask.*paint the face white"):
        region_from_mask(torch.zeros(48, 64), 64, 48)
    with pytest.raises(InputError, match=r"shape \(64, 48\).*\(48, 64\)"):
        find_face_region(portrait(), mask=torch.ones(64, 48))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "1", "P"])
def test_mask_pictures_are_read(tmp_path, mode):
    image = Image.new("L", (64, 48))
    image.paste(255, (30, 10, 50, 20))
    if mode == "RGBA":  # white everywhere, seen only in the face
        image = Image.merge("RGBA", [Image.new("L", (64, 48), 255)] * 3 + [image])
    image.convert(mode).save(tmp_path / "mask.png")
    mask = read_mask(tmp_path / "mask.png", 64, 48)
    assert mask.shape == (48, 64)
    assert float(mask.sum()) == 200
    assert region_from_mask(mask, 64, 48) == FaceRegion(30, 10, 20, 10)


def test_bad_mask_files_are_refused(tmp_path):
    Image.new("L", (32, 32)).save(tmp_path / "small.png")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(InputError, match="a mask of 32x32 pixels.*64x48"):
        read_mask(tmp_path / "small.png", 64, 48)
    for name in ("text.png", "nobody.png"):
        with pytest.raises(InputError, match=f"{name}.*check the path of the mask"):
            read_mask(tmp_path / name, 64, 48)


def test_movement_box_is_wider_for_swings_and_taller_for_nods():
    face = FaceRegion(100, 100, 40, 50)
    assert movement_box(face, 0, 0, 512, 512) == face
    assert movement_box(face, 0.5, 0, 512, 512) == FaceRegion(80, 100, 80, 50)
    assert movement_box(face, 0, 0.2, 512, 512) == FaceRegion(100, 90, 40, 70)
    assert movement_box(face, 9, 9, 512, 400) == FaceRegion(0, 0, 500, 400)
    for margin in (-0.1, math.nan):
        with pytest.raises(InputError, match="margin_y"):
            movement_box(face, 0, margin, 512, 512)


def test_face_mask_is_binary_on_whole_pixels():
    mask = face_mask(FaceRegion(2, 1, 3, 4), 8, 6)
    wanted = torch.zeros(1, 1, 8, 6)
    wanted[:, :, 1:5, 2:5] = 1
    assert torch.equal(mask, wanted)
    assert torch.equal(face_mask(FaceRegion(0, 0, 6, 8), 8, 6), torch.ones(1, 1, 8, 6))


def test_coarse_face_mask_covers_by_share():
    mask = face_mask(FaceRegion(4, 8, 12, 16).scaled(1 / 8, 1 / 8), 4, 4)
    np.testing.assert_allclose(mask[0, 0, 1], [0.5, 1, 0, 0])
    np.testing.assert_allclose(mask[0, 0, :, 1], [0, 1, 1, 0])


@given(
    st.floats(0, 30),
    st.floats(0, 30),
    st.floats(0.01, 34),
    st.floats(0.01, 34),
    st.integers(1, 64),
    st.integers(1, 64),
)
def test_face_mask_keeps_the_area_at_any_size(x, y, width, height, mask_width, mask_height):
    region = FaceRegion(x, y, width, height).clamped(64, 64)
    scaled = region.scaled(mask_width / 64, mask_height / 64)
    mask = face_mask(scaled, mask_height, mask_width)
    assert float(mask.min()) >= 0 and float(mask.max()) <= 1
    assert float(mask.double().sum()) == pytest.approx(scaled.width * scaled.height, rel=1e-4, abs=1e-5)
