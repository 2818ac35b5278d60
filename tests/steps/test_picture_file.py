"""Png files that are marked, by the command line and as such: what is in them, and what is refused."""

import json

import pytest
import torch
from PIL import Image, PngImagePlugin

from comfyui_emo.cli import main
from comfyui_emo.errors import InputError
from comfyui_emo.steps.marking.marks import Origin, prepare_marks
from comfyui_emo.steps.marking.settings import ALL_MARKS, NO_MARKS, Marking
from comfyui_emo.steps.marking.verify import verify_file
from comfyui_emo.steps.picture_file import read_picture, write_picture

pytest.importorskip("c2pa")


@pytest.fixture
def picture() -> torch.Tensor:
    """[3, 96, 128], a soft shading."""
    return torch.linspace(0.3, 0.7, 128).expand(3, 96, 128)


@pytest.fixture
def plain(tmp_path, picture):
    """That picture as a png with a workflow."""
    texts = {"workflow": '{"nodes": []}', "note": "дом"}
    write_picture(tmp_path / "plain.png", picture, texts, prepare_marks(NO_MARKS, Origin(), 128, 96))
    return tmp_path / "plain.png"


def test_a_written_picture_comes_back(plain, picture):
    pixels, texts = read_picture(plain)
    assert (pixels - picture).abs().max() <= 0.5 / 255 + 1e-6
    assert texts == {"workflow": '{"nodes": []}', "note": "дом"}


def test_a_marked_picture_says_what_it_is(plain, tmp_path, capsys):
    out = tmp_path / "marked.png"
    assert main(["mark", str(plain), "--out", str(out), "--consent", "They agreed.", "--aigc"]) == 0
    assert f"{out}: 128x96 pixels, marked as synthetic" in capsys.readouterr().out
    found = verify_file(out)
    assert (found.verdict, found.credentials.state, found.credentials.synthetic) == ("marked", "valid", True)
    assert found.credentials.generation["consent"] == "They agreed."
    assert found.credentials.payload == f"{found.watermark.payload:08x}"
    assert found.record["title"] == "marked.png"
    assert json.loads(found.notices["AIGC"])["Label"] == "1" and "Synthetic" in found.notices["comment"]
    assert Image.open(out).info["workflow"] == '{"nodes": []}'
    assert sorted(path.name for path in tmp_path.iterdir()) == ["marked.png", "plain.png"]
    error = (read_picture(out)[0] - read_picture(plain)[0]).square().mean()
    assert -10 * torch.log10(error) > 40
    out.write_bytes(out.read_bytes().replace(b'"nodes"', b'"nudes"'))
    assert verify_file(out).verdict == "tampered"


def test_a_picture_that_is_signed_already_is_left_alone(plain, tmp_path, capsys):
    first, second = tmp_path / "first.png", tmp_path / "second.png"
    assert main(["mark", str(plain), "--out", str(first)]) == 0
    assert main(["mark", str(first), "--out", str(second)]) == 2
    assert "has Content Credentials already" in capsys.readouterr().err
    assert not second.exists()


def test_the_label_is_seen(tmp_path, picture):
    marks = prepare_marks(Marking(label=True), Origin(), 128, 96)
    write_picture(tmp_path / "a.png", torch.zeros_like(picture), {}, marks)
    assert read_picture(tmp_path / "a.png")[0][:, 80:].max() > 0.9


def test_texts_of_others_are_read_whatever_they_are(tmp_path):
    stored = PngImagePlugin.PngInfo()
    stored.add_text("AIGC", "no JSON")
    stored.add_text("comment", "Synthetic, says somebody.")
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png", pnginfo=stored)
    found = verify_file(tmp_path / "a.png")
    assert (found.verdict, found.notices) == ("unmarked", {"comment": "Synthetic, says somebody."})


@pytest.mark.parametrize("mode", ["RGBA", "LA", "I;16"])
def test_pictures_of_other_kinds(tmp_path, mode):
    Image.new(mode, (128, 128)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=f"of the kind {mode}"):
        read_picture(tmp_path / "a.png")


def test_what_is_no_picture(tmp_path, plain, picture):
    (tmp_path / "empty.png").touch()
    (tmp_path / "half.png").write_bytes(plain.read_bytes()[: plain.stat().st_size // 2])
    for name in ("empty.png", "half.png", "none.png"):
        with pytest.raises(InputError, match=rf"{name}, which cannot be read"):
            read_picture(tmp_path / name)
    with pytest.raises(InputError, match=r"a file name ending in \.png"):
        write_picture(tmp_path / "a.jpg", picture, {}, prepare_marks(ALL_MARKS, Origin(), 128, 96))


def test_a_folder_that_is_gone_leaves_nothing(tmp_path, picture):
    with pytest.raises(InputError, match="cannot be written"):
        write_picture(tmp_path / "gone" / "a.png", picture, {}, prepare_marks(ALL_MARKS, Origin(), 128, 96))
