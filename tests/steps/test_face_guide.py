"""Key points and drawings that tell how the head moves: read, cropped with the portrait, checked."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from families import SMALL_ECHOMIMIC, SMALL_ECHOMIMIC_POSE, SMALL_HALLO, SMALL_V_EXPRESS
from PIL import Image

from comfyui_emo.errors import InputError
from comfyui_emo.steps.face_guide import FaceGuide, check_face_guide, fitted_drawings
from comfyui_emo.steps.face_guide_files import key_points_from, read_drawings
from comfyui_emo.steps.face_region import FaceRegion
from comfyui_emo.steps.portrait import Portrait, fit_portrait
from comfyui_emo.steps.region_masks import draw_key_points

POINTS = torch.tensor([[60.0, 50.0], [100.0, 50.0], [80.0, 75.0]])
EXPRESS, POSE = SMALL_V_EXPRESS.config, SMALL_ECHOMIMIC_POSE.config


def fitted():
    """A picture of 200x160 of which the model sees 80x80 pixels from (40, 20), at 128x128."""
    picture = Portrait(torch.rand(1, 3, 160, 200), "drawn")
    made = fit_portrait(picture, FaceRegion(60, 40, 40, 40), (128, 128), 0.5)
    assert (made.crop.x, made.crop.y, made.crop.width) == (40, 20, 80)
    return made


def test_key_points_are_drawn_where_the_crop_has_them():
    drawn = fitted_drawings(FaceGuide(key_points=POINTS[None]), fitted())
    wanted = draw_key_points((POINTS - torch.tensor([40, 20])) * 1.6, 128, 128)
    assert torch.equal(drawn.float() / 255, wanted)


def test_drawings_are_cropped_with_the_portrait():
    drawing = torch.zeros(2, 3, 160, 200, dtype=torch.uint8)
    drawing[0, 0, 20:60, 40:80] = 255  # the crop's upper left quarter
    drawing[1, 1, 60:100, 80:120] = 255  # its lower right one
    first, second = fitted_drawings(FaceGuide(drawings=drawing), fitted())
    assert first[0, :60, :60].min() == 255 and int(first[0, 68:].max()) == 0 and int(first[1:].max()) == 0
    assert second[1, 68:, 68:].min() == 255 and int(second[1, :60].max()) == 0


@pytest.mark.parametrize("shape", [(3, 2), (7, 3, 2), (7, 5, 2)])
def test_key_points_come_from_numbers_or_a_file(tmp_path, shape):
    values = np.random.default_rng(0).uniform(0, 99, shape)
    np.save(tmp_path / "points.npy", values)
    points = key_points_from(str(tmp_path / "points.npy")).key_points
    assert np.allclose(points, values.reshape(-1, *shape[-2:])[:, :3])
    written = key_points_from(",".join(str(x) for x in values.reshape(-1, 2)[:3].flatten()))
    assert torch.allclose(written.key_points, points[:1])


def test_key_points_are_read_as_v_express_stores_them(tmp_path):
    """`torch.save` of a list of NumPy arrays, one a frame; or of a tensor."""
    values = np.random.default_rng(0).uniform(0, 99, (7, 3, 2)).astype(np.float32)
    torch.save(list(values), tmp_path / "kps.pth")
    torch.save(torch.from_numpy(values), tmp_path / "kps.pt")
    for name in ("kps.pth", "kps.pt"):
        assert np.array_equal(key_points_from(str(tmp_path / name)).key_points, values)


class Bomb:
    target = ""

    def __reduce__(self):
        return (open, (Bomb.target, "w"))


def test_a_file_of_key_points_that_holds_code_is_not_executed(tmp_path):
    Bomb.target = str(tmp_path / "executed")
    torch.save([np.zeros((3, 2), np.float32), Bomb()], tmp_path / "kps.pth")
    with pytest.raises(InputError, match="kps.pth, which is damaged or holds objects .*open"):
        key_points_from(str(tmp_path / "kps.pth"))
    assert not (tmp_path / "executed").exists()


def test_a_damaged_file_of_key_points_is_named(tmp_path):
    torch.save([np.zeros((3, 2), np.float32)] * 99, tmp_path / "kps.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "kps.pth").read_bytes()[:900])
    torch.save({"a": torch.zeros(3, 2)}, tmp_path / "weights.pth")
    for name in ("cut.pth", "weights.pth"):
        with pytest.raises(InputError, match=f"{name}, which is damaged or holds objects"):
            key_points_from(str(tmp_path / name))


@pytest.mark.parametrize("given", ["1,2,3,4", "1,2,3,4,5,six", "1,2,3,4,5,nan", "gone.npy", "notes.txt"])
def test_other_key_points_are_refused(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="key points.*six numbers x,y,x,y,x,y"):
        key_points_from(given)


def test_drawings_come_from_a_folder_in_the_order_of_names(tmp_path):
    for index, name in enumerate(["b.png", "a.png", "c.png"]):
        Image.new("RGB", (40, 30), (80 * index, 0, 0)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a picture")
    drawings = read_drawings(tmp_path).drawings
    assert drawings.shape == (3, 3, 30, 40) and drawings[:, 0, 0, 0].tolist() == [80, 0, 160]
    assert read_drawings(tmp_path / "c.png").drawings.shape == (1, 3, 30, 40)
    Image.new("RGB", (41, 30)).save(tmp_path / "d.png")
    with pytest.raises(InputError, match="drawings of 40x30 and 41x30 pixels"):
        read_drawings(tmp_path)


def test_drawings_come_from_a_video(tmp_path):
    import av

    with av.open(str(tmp_path / "drawn.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in (0, 120, 240):
            picture = np.full((48, 64, 3), level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    drawings = read_drawings(tmp_path / "drawn.mp4").drawings
    assert drawings.shape == (3, 3, 48, 64)
    assert drawings.float().mean((1, 2, 3)).tolist() == pytest.approx([0, 120, 240], abs=4)
    (tmp_path / "text.mp4").write_text("no video")
    for name in ("text.mp4", "gone.mp4"):
        with pytest.raises(InputError, match="no video that can be read"):
            read_drawings(tmp_path / name)


@pytest.mark.parametrize(
    ("config", "guide", "message"),
    [
        (SMALL_HALLO.config, "points", "key points of the face for hallo.*none for this model"),
        (SMALL_ECHOMIMIC.config, "drawings", "drawings of the face for echomimic"),
        (POSE, None, "no drawn poses for echomimic-pose.*--drawings"),
        (POSE, "points", "key points of the face for echomimic-pose.*drawings of the face's landmarks"),
        (EXPRESS, "outside", "key points outside of the picture for a portrait of 200x160"),
        (EXPRESS, "small", "drawings of 100x100 pixels for a portrait of 200x160"),
        (EXPRESS, "few", "for 5 frames, for a video of 6.*give 6 of them"),
    ],
)
def test_what_a_model_cannot_be_told_is_refused(config, guide, message):
    given = {
        None: None,
        "points": FaceGuide(key_points=POINTS[None]),
        "outside": FaceGuide(key_points=3 * POINTS[None]),
        "drawings": FaceGuide(drawings=torch.zeros(1, 3, 160, 200, dtype=torch.uint8)),
        "small": FaceGuide(drawings=torch.zeros(1, 3, 100, 100, dtype=torch.uint8)),
        "few": FaceGuide(key_points=POINTS.expand(5, 3, 2)),
    }[guide]
    with pytest.raises(InputError, match=message):
        check_face_guide(given, config, (200, 160), 6)


def test_what_suits_a_model_is_accepted():
    for count in (1, 6, 9):
        check_face_guide(FaceGuide(key_points=POINTS.expand(count, 3, 2)), EXPRESS, (200, 160), 6)
    drawings = FaceGuide(drawings=torch.zeros(6, 3, 160, 200, dtype=torch.uint8))
    for config in (EXPRESS, POSE, replace(POSE, name="other")):
        check_face_guide(drawings, config, (200, 160), 6)
    check_face_guide(None, EXPRESS, (200, 160), 6)


def test_both_at_once_are_refused():
    with pytest.raises(InputError, match="one of the two"):
        FaceGuide(POINTS[None], torch.zeros(1, 3, 9, 9, dtype=torch.uint8))
