"""Files of all kinds, also of others, also broken: each a clear result."""

import json

import av
import numpy as np
import pytest
import torch
from PIL import Image

from comfyui_emo.cli import main
from comfyui_emo.errors import InputError
from comfyui_emo.steps.marking.credentials import sign_file
from comfyui_emo.steps.marking.signing_keys import find_signing_key
from comfyui_emo.steps.marking.verify import verify_file
from comfyui_emo.steps.marking.watermark import Watermark

pytest.importorskip("c2pa")


def encode(path, frames, index_first=False, **options):
    """Frames [N, H, W, 3] uint8 to a video."""
    flags = {"movflags": "faststart"} if index_first else {}
    with av.open(str(path), "w", options=flags) as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def marked_frames() -> np.ndarray:
    """[24, 128, 128, 3] uint8 with payload 77."""
    plain = torch.linspace(0.3, 0.7, 128).expand(24, 3, 128, 128)
    return (Watermark(77).mark(plain) * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()


def test_a_reencoded_file_keeps_its_watermark_alone(tmp_path, marked_frames, provenance, capsys):
    encode(tmp_path / "a.mp4", marked_frames)
    sign_file(tmp_path / "a.mp4", "a.mp4", provenance, find_signing_key())
    with av.open(str(tmp_path / "a.mp4")) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    encode(tmp_path / "b.mp4", frames, crf="28")
    found = verify_file(tmp_path / "b.mp4")
    assert (found.verdict, found.credentials.state, found.watermark.payload) == ("marked", "absent", 77)
    assert main(["verify", str(tmp_path / "b.mp4")]) == 0
    assert "Content Credentials: none" in capsys.readouterr().out


def test_a_picture_of_one_frame(tmp_path, marked_frames):
    Image.fromarray(marked_frames[0]).save(tmp_path / "a.png")
    assert verify_file(tmp_path / "a.png").watermark.payload == 77


@pytest.mark.parametrize(("share", "index_first"), [(0.5, False), (0.9, False), (0.5, True)])
def test_a_video_cut_before_its_index_ends(
    tmp_path, marked_frames, provenance, share, index_first, capsys
):
    encode(tmp_path / "a.mp4", marked_frames, index_first=index_first)
    sign_file(tmp_path / "a.mp4", "a.mp4", provenance, find_signing_key())
    content = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(content[: int(share * len(content))])
    assert main(["verify", str(tmp_path / "a.mp4")]) == 5
    said = capsys.readouterr().out
    assert "not readable as mp4 or png" in said and "Content Credentials: unreadable" in said


def test_a_video_cut_in_half_has_its_watermark_and_a_broken_seal(
    tmp_path, marked_frames, provenance, capsys
):
    grain = np.random.default_rng(0).normal(0, 6, marked_frames.shape)
    large = (marked_frames + grain).clip(0, 255).astype(np.uint8)
    encode(tmp_path / "a.mp4", large, index_first=True, crf="8", g="6", bf="0")
    sign_file(tmp_path / "a.mp4", "a.mp4", provenance, find_signing_key())
    content = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(content[: len(content) // 2])
    found = verify_file(tmp_path / "a.mp4")
    assert (found.credentials.state, found.watermark.payload) == ("tampered", 77)
    assert main(["verify", str(tmp_path / "a.mp4")]) == 4
    assert "TAMPERED; something was changed after signing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.mp4", b""),
        ("a.png", b""),
        ("a.mp4", b"hello"),
        ("a.png", b"\x89PNG\r\n\x1a\n"),
        ("a.txt", b"x" * 99),
    ],
)
def test_what_is_no_video(tmp_path, name, content, capsys):
    (tmp_path / name).write_bytes(content)
    assert verify_file(tmp_path / name).verdict == "unreadable"
    assert main(["verify", str(tmp_path / name)]) == 5
    assert "not readable as mp4 or png" in capsys.readouterr().out


def test_somebody_elses_video_is_unmarked(video, capsys):
    assert main(["verify", str(video)]) == 3
    out = capsys.readouterr().out
    assert "no mark found, which proves nothing" in out and "watermark: none found" in out


def test_a_tampered_video(video, provenance, capsys):
    sign_file(video, video.name, provenance, find_signing_key())
    content = bytearray(video.read_bytes())
    content[content.index(b"mdat") + 300] ^= 1
    video.write_bytes(content)
    assert main(["verify", str(video)]) == 4
    assert "TAMPERED; something was changed after signing" in capsys.readouterr().out


def test_json_for_programs(video, provenance, certificate, capsys):
    own = certificate("Studio")
    sign_file(video, video.name, provenance, find_signing_key(own.chain, own.key))
    assert main(["verify", "--json", "--trust", str(own.root), str(video)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["credentials"]["state"]) == ("marked", "trusted")
    assert found["credentials"]["signer"] == "Studio" and found["watermark"] is None


def test_sound_alone(tmp_path):
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    found = verify_file(tmp_path / "a.wav")
    assert (found.verdict, found.pictures) == ("unreadable", "there are none")


def test_what_cannot_be_asked(tmp_path, video, capsys):
    assert main(["verify", str(tmp_path / "none.mp4")]) == 2
    assert "is no file" in capsys.readouterr().err
    (tmp_path / "list").write_text("nobody")
    with pytest.raises(InputError, match="without a certificate"):
        verify_file(video, tmp_path / "list")


def test_exit_codes_are_explained(capsys):
    with pytest.raises(SystemExit):
        main(["verify", "--help"])
    out = capsys.readouterr().out
    assert all(word in out for word in ("3    unmarked", "4    tampered", "5    unreadable"))
