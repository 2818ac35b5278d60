"""Portraits from files of every kind, and how they are cropped to a model's size."""

import logging
import struct
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from comfyui_emo.errors import InputError
from comfyui_emo.steps.face_region import FaceRegion
from comfyui_emo.steps.portrait import CropBox, Portrait, fit_portrait, read_portrait

ORANGE = (255, 128, 0)


def picture(width: int = 40, height: int = 30) -> Image.Image:
    """Orange, with a blue top left quarter."""
    image = Image.new("RGB", (width, height), ORANGE)
    image.paste((0, 0, 255), (0, 0, width // 2, height // 2))
    return image


def pixel(portrait: Portrait, x: int, y: int) -> list[int]:
    return (portrait.pixels[0, :, y, x] * 255).round().int().tolist()


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tiff", "gif", "ppm", "tga", "jp2"])
def test_common_formats_are_read(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    picture().save(path, **({"quality": 95} if suffix in ("jpg", "webp") else {}))
    portrait = read_portrait(path)
    assert portrait.pixels.shape == (1, 3, 30, 40)
    assert portrait.pixels.dtype == torch.float32
    np.testing.assert_allclose(pixel(portrait, 35, 25), ORANGE, atol=8)
    np.testing.assert_allclose(pixel(portrait, 4, 4), (0, 0, 255), atol=8)
    assert (portrait.source, portrait.face_region) == (str(path), None)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "RGBA", "LA", "RGBX"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    image = picture()
    image = image.convert("RGBA").convert(mode) if mode == "LA" else image.convert(mode)
    path = tmp_path / ("a.tiff" if mode not in ("LA", "P") else "a.png")
    image.save(path)
    got = read_portrait(path)
    np.testing.assert_allclose(pixel(got, 35, 25), np.asarray(image.convert("RGB"))[25, 35], atol=2)
    assert got.pixels.is_contiguous()


def test_sixteen_bits_keep_their_range(tmp_path):
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (16, 1))
    Image.fromarray(ramp).save(tmp_path / "a.png")
    got = read_portrait(tmp_path / "a.png").pixels
    torch.testing.assert_close(got[0, 1, 3], torch.linspace(0, 1, 64), atol=2e-5, rtol=0)
    Image.fromarray(ramp).save(tmp_path / "a.tiff")
    torch.testing.assert_close(read_portrait(tmp_path / "a.tiff").pixels, got)


def test_floating_point_tiff(tmp_path):
    values = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (16, 1))
    Image.fromarray(values).save(tmp_path / "a.tiff")
    torch.testing.assert_close(read_portrait(tmp_path / "a.tiff").pixels[0, 2], torch.from_numpy(values))
    Image.fromarray(values * 300).save(tmp_path / "a.tiff")
    with pytest.raises(InputError, match=r"mode F beyond 0\.\.1"):
        read_portrait(tmp_path / "a.tiff")


@pytest.mark.parametrize("kind", ["RGBA", "palette"])
def test_transparency_is_laid_over_white_and_said(tmp_path, caplog, kind):
    image = picture().convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 20, 15))
    image.paste((0, 0, 0, 128), (20, 0, 40, 15))
    path = tmp_path / "a.png"
    (image if kind == "RGBA" else image.convert("P")).save(path)
    if kind == "palette":
        striped = Image.new("P", (40, 30))
        striped.putpalette([9, 9, 9, *ORANGE])
        striped.paste(1, (0, 15, 40, 30))
        striped.save(path, transparency=0)
    portrait = read_portrait(path)
    assert pixel(portrait, 4, 4) == [255, 255, 255]
    assert pixel(portrait, 35, 25) == list(ORANGE)
    if kind == "RGBA":
        assert pixel(portrait, 30, 4) == [127, 127, 127]
    assert "has transparent parts: they are laid over white" in caplog.text


def test_opaque_alpha_is_not_worth_a_word(tmp_path, caplog):
    picture().convert("RGBA").save(tmp_path / "a.png")
    assert pixel(read_portrait(tmp_path / "a.png"), 35, 25) == list(ORANGE)
    assert caplog.text == ""


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_turns_picture_and_region(tmp_path, orientation):
    upright = picture()
    transpose = Image.Transpose
    stored = {
        1: upright,
        2: upright.transpose(transpose.FLIP_LEFT_RIGHT),
        3: upright.transpose(transpose.ROTATE_180),
        4: upright.transpose(transpose.FLIP_TOP_BOTTOM),
        5: upright.transpose(transpose.TRANSPOSE),
        6: upright.transpose(transpose.ROTATE_90),
        7: upright.transpose(transpose.TRANSVERSE),
        8: upright.transpose(transpose.ROTATE_270),
    }[orientation]
    blue = np.argwhere(np.array(stored)[..., 2] == 255)
    (top, left), (bottom, right) = blue.min(0), blue.max(0) + 1
    text = PngImagePlugin.PngInfo()
    text.add_text("face_region", f"{left},{top},{right - left},{bottom - top}")
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", pnginfo=text, exif=exif)
    portrait = read_portrait(tmp_path / "a.png")
    assert portrait.pixels.shape == (1, 3, 30, 40)
    assert pixel(portrait, 4, 4) == [0, 0, 255]
    assert portrait.face_region == FaceRegion(0, 0, 20, 15)


@pytest.mark.parametrize(
    ("text", "message"), [("30,20,20,5", "x \\+ width <= 40"), ("face", "four numbers x,y,width,height")]
)
def test_bad_region_in_the_file_is_refused(tmp_path, text, message):
    info = PngImagePlugin.PngInfo()
    info.add_text("face_region", text)
    picture().save(tmp_path / "a.png", pnginfo=info)
    with pytest.raises(InputError, match=message):
        read_portrait(tmp_path / "a.png")


def test_first_picture_of_an_animation(tmp_path, caplog):
    picture().save(tmp_path / "a.gif", save_all=True, append_images=[Image.new("RGB", (40, 30), "green")])
    assert pixel(read_portrait(tmp_path / "a.gif"), 35, 25) == pytest.approx(list(ORANGE), abs=8)
    assert "is animated: its first picture is used" in caplog.text


@pytest.mark.parametrize("content", [b"", b"no picture at all" * 50])
def test_file_that_is_no_picture_is_refused(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.png: not a picture.*Allowed: a whole picture.*Do: check"):
        read_portrait(tmp_path / "a.png")


def test_missing_file_and_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_portrait(tmp_path / "nobody.png")
    with pytest.raises(InputError, match="Allowed: a whole picture"):
        read_portrait(tmp_path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_truncated_picture_is_refused(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.effect_noise((200, 200), 80).convert("RGB").save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="Allowed: a whole picture"):
        read_portrait(path)


@pytest.mark.parametrize("side", [9_000, 60_000])
def test_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path, side):
    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    rest = chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + rest)
    with pytest.raises(InputError, match="80 megapixels"):
        read_portrait(tmp_path / "a.png")


def test_tiny_picture_is_refused(tmp_path):
    picture(20, 8).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"shape \(1, 3, 8, 20\).*at least 16 pixels"):
        read_portrait(tmp_path / "a.png")


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan")])
def test_pixels_outside_the_range_are_refused(value):
    with pytest.raises(InputError, match="values from 0 to 1"):
        Portrait(torch.full((1, 3, 32, 32), value), "test")


def blank(width: int, height: int) -> Portrait:
    return Portrait(torch.zeros(1, 3, height, width), "test")


@st.composite
def sized_regions(draw) -> tuple[int, int, FaceRegion]:
    """A picture's width and height, and a region inside it."""
    width, height = draw(st.integers(16, 300)), draw(st.integers(16, 300))
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    size = draw(st.integers(1, width - x)), draw(st.integers(1, height - y))
    return width, height, FaceRegion(x, y, *size)


@given(
    sized_regions(), st.sampled_from([(64, 64), (48, 64), (64, 36)]), st.sampled_from([None, 0.2, 0.5, 1.0])
)
def test_crop_lies_inside_and_keeps_the_face_where_it_fits(sized_region, size_px, face_share):
    width, height, region = sized_region
    fitted = fit_portrait(blank(width, height), region, size_px, face_share)
    crop = fitted.crop
    assert min(crop.x, crop.y) >= 0
    assert crop.x + crop.width <= width and crop.y + crop.height <= height
    assert abs(crop.width - crop.height * size_px[0] / size_px[1]) <= 1
    assert fitted.pixels.shape == (1, 3, size_px[1], size_px[0])
    fitted.region.clamped(size_px[0] + 1e-6, size_px[1] + 1e-6)
    # A crop can only be a pixel short of the face through rounding, or short where the format allows no more.
    whole_width = min(width, height * size_px[0] / size_px[1])
    whole_height = min(height, width * size_px[1] / size_px[0])
    assert crop.width >= min(region.width, whole_width) - 1
    assert crop.height >= min(region.height, whole_height) - 1
    if region.width <= crop.width:
        assert crop.x <= region.x + 1 and region.right <= crop.x + crop.width + 1


@pytest.mark.parametrize(
    ("size", "region", "size_px", "share", "crop"),
    [
        ((100, 100), (40, 40, 20, 20), (64, 64), None, (0, 0, 100, 100)),  # the format already
        ((200, 100), (40, 40, 20, 20), (64, 64), None, (0, 0, 100, 100)),  # centred at 50
        ((200, 100), (90, 10, 20, 20), (64, 64), None, (50, 0, 100, 100)),  # centred at 100
        ((200, 100), (180, 10, 20, 20), (64, 64), None, (100, 0, 100, 100)),  # held by the right border
        ((100, 200), (10, 120, 40, 40), (64, 64), None, (0, 90, 100, 100)),
        ((100, 200), (30, 50, 40, 40), (48, 64), None, (0, 4, 100, 133)),
        ((400, 400), (150, 150, 100, 100), (64, 64), 0.5, (100, 100, 200, 200)),  # the face is half the crop
        ((400, 400), (0, 0, 100, 100), (64, 64), 0.5, (0, 0, 200, 200)),  # never beyond the picture
        ((400, 400), (50, 50, 300, 300), (64, 64), 0.5, (0, 0, 400, 400)),  # already larger than wanted
        ((400, 400), (100, 150, 200, 50), (64, 64), 1.0, (100, 75, 200, 200)),  # a wide face is not cut
    ],
)  # fmt: skip
def test_crops(size, region, size_px, share, crop):
    fitted = fit_portrait(blank(*size), FaceRegion(*region), size_px, share)
    assert fitted.crop == CropBox(*crop)
    factor = size_px[0] / crop[2]
    assert fitted.region.x == pytest.approx((region[0] - crop[0]) * factor)
    assert fitted.region.width == pytest.approx(region[2] * factor)


def test_face_too_wide_for_the_format_is_cut_and_said(caplog):
    fitted = fit_portrait(blank(200, 100), FaceRegion(0, 0, 200, 100), (64, 64))
    assert fitted.crop == CropBox(50, 0, 100, 100)
    assert fitted.region == FaceRegion(0, 0, 64, 64)
    assert "the face region is cut where it leaves the 64:64 format" in caplog.text


def test_picture_of_the_right_size_is_left_alone(tmp_path):
    picture(64, 64).save(tmp_path / "a.png")
    portrait = read_portrait(tmp_path / "a.png")
    fitted = fit_portrait(portrait, FaceRegion(0, 0, 10, 10), (64, 64))
    torch.testing.assert_close(fitted.pixels, portrait.pixels, atol=1e-6, rtol=0)


def test_small_picture_is_enlarged_and_said(caplog):
    fit_portrait(blank(32, 32), FaceRegion(4, 4, 20, 20), (64, 64))
    assert "32x32 pixels around the face are enlarged to 64x64" in caplog.text


def test_shrinking_averages_instead_of_skipping():
    checks = torch.zeros(1, 3, 256, 256)
    checks[..., ::2] = 1
    fitted = fit_portrait(Portrait(checks, "test"), FaceRegion(0, 0, 256, 256), (32, 32))
    torch.testing.assert_close(fitted.pixels, torch.full((1, 3, 32, 32), 0.5), atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("region", "size_px", "share", "message"),
    [
        ((90, 0, 20, 20), (64, 64), None, "a picture of 100x100 pixels"),
        ((0, 0, 9, 9), (0, 64), None, r"size \(0, 64\)"),
        ((0, 0, 9, 9), (64, 64), 0, "face_share 0"),
        ((0, 0, 9, 9), (64, 64), 1.5, "face_share 1.5"),
    ],
)
def test_impossible_fits_are_refused(region, size_px, share, message):
    with pytest.raises(InputError, match=message):
        fit_portrait(blank(100, 100), FaceRegion(*region), size_px, share)


def test_reading_says_nothing_about_an_ordinary_picture(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    picture().save(tmp_path / "a.jpg")
    read_portrait(tmp_path / "a.jpg")
    assert caplog.text == ""
