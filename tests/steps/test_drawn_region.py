"""The region that the editor in the browser stores: read, and checked against picture and numbers."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyui_emo.errors import InputError
from comfyui_emo.steps.drawn_region import DrawnRegion, parse_drawn_region, region_by_hand
from comfyui_emo.steps.face_region import FaceRegion

DRAWN = '{"x": 120, "y": 80, "width": 200, "height": 220, "picture": [512, 640]}'
NO_NUMBERS = (0, 0, 0, 0)


def test_a_drawn_region_is_read_with_its_picture():
    assert parse_drawn_region(DRAWN) == DrawnRegion(FaceRegion(120, 80, 200, 220), (512, 640))
    bare = '{"x": 1.5, "y": 2, "width": 3, "height": 4}'
    assert parse_drawn_region(bare) == DrawnRegion(FaceRegion(1.5, 2, 3, 4))


@given(st.tuples(*[st.integers(0, 8000)] * 2, *[st.integers(1, 8000)] * 2))
def test_any_box_survives_the_way_through_json(numbers):
    state = dict(zip(("x", "y", "width", "height"), numbers, strict=True))
    assert parse_drawn_region(json.dumps(state)).region == FaceRegion(*numbers)


@pytest.mark.parametrize(
    "text",
    [
        "1,2,3,4", "[1, 2, 3, 4]", "{}", "null", '{"x": 1, "y": 2, "width": 3}',
        '{"x": "1", "y": 2, "width": 3, "height": 4}', '{"x": true, "y": 2, "width": 3, "height": 4}',
        '{"x": 1, "y": 2, "width": 3, "height": 4, "face": 1}',
        '{"x": 1, "y": 2, "width": 3, "height": 4, "picture": 512}',
        '{"x": 1, "y": 2, "width": 3, "height": 4, "picture": [512]}',
    ],
)  # fmt: skip
def test_other_text_is_refused(text):
    with pytest.raises(InputError, match='JSON like {"x": 120.*draw the region again'):
        parse_drawn_region(text)


@pytest.mark.parametrize("box", ['"width": 0, "height": 4', '"width": 3, "height": NaN'])
def test_an_empty_box_is_refused(box):
    with pytest.raises(InputError, match="width and height above 0"):
        parse_drawn_region(f'{{"x": 1, "y": 2, {box}}}')


def test_a_region_of_another_picture_is_refused():
    with pytest.raises(InputError, match="drawn on a picture of 512x640 pixels for one of 640x512.*clear it"):
        region_by_hand(DRAWN, NO_NUMBERS, 640, 512)


def test_drawn_and_numbers_are_one_region_by_hand():
    region = FaceRegion(120, 80, 200, 220)
    assert region_by_hand("", NO_NUMBERS, 512, 640) is None
    assert region_by_hand(" ", (120, 80, 200, 220), 512, 640) == region
    assert region_by_hand(DRAWN, NO_NUMBERS, 512, 640) == region
    assert region_by_hand(DRAWN, (120, 80, 200, 220), 512, 640) == region
    with pytest.raises(InputError, match="drawn at 120,80,200,220 and another in numbers, 0,0,50,50"):
        region_by_hand(DRAWN, (0, 0, 50, 50), 512, 640)
