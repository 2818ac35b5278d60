"""Whatever cannot be used: exit code 2, one message in the project's form, no traceback, no file left."""

import os
import pickle
import re
import struct
from datetime import timedelta

import av
import numpy as np
import pytest
import torch
from cryptography.hazmat.primitives import serialization
from PIL import Image
from safetensors.torch import save_file

from comfyui_emo.commands import talk as talk_command
from comfyui_emo.steps.marking.local_certificate import make_local_certificate


@pytest.fixture
def refused(talk, out_folder, capsys):
    """Run `talk` with options that cannot be used; gives the message, once its form is checked."""

    def run(**options) -> str:
        assert talk(**options) == 2
        assert list(out_folder.iterdir()) == []
        output = capsys.readouterr()
        assert output.out == ""
        assert "Traceback" not in output.err
        match = re.search(r"^Got:     (.+)\.\nAllowed: .+\.\nDo:      .+\.\n\Z", output.err, re.MULTILINE)
        assert match, output.err
        return match[1]

    return run


@pytest.fixture
def no_model(monkeypatch):
    """What is wrong is found before a model is loaded."""

    def load(*_):
        raise AssertionError("the model was loaded first")

    monkeypatch.setattr(talk_command, "load_model", load)
    monkeypatch.setattr(talk_command, "open_model", load)


# --- options ---


@pytest.mark.parametrize(
    ("options", "got"),
    [
        ({"fps": "0"}, "fps 0"),
        ({"fps": "fast"}, "fps 'fast'"),
        ({"steps": "0"}, "steps 0"),
        ({"steps": "many"}, "argument --steps: invalid int value: 'many'"),
        ({"guidance": "0.5"}, "guidance 0.5"),
        ({"guidance": "nan"}, "argument --guidance: invalid number value: 'nan'"),
        ({"pose_noise": "0"}, "pose noise scale 0"),
        ({"pose_noise": "3"}, "pose noise scale 3"),
        ({"seed": "-1"}, "seed -1"),
        ({"speed": "9"}, "head speed 9"),
        ({"style": "wild"}, "invalid choice: 'wild' (choose from"),
        ({"scheduler": "magic"}, "invalid choice: 'magic' (choose from"),
        ({"style": "calm", "speed": "1"}, "not allowed with argument --style"),
        ({"start": "-1"}, "start_s -1"),
        ({"start": "9"}, "no sound after 9 s; it is 0.22 s long"),
        ({"duration": "0"}, "duration_s 0"),
        ({"duration": "inf"}, "argument --duration: invalid number value: 'inf'"),
        ({"face": "here"}, "face region 'here'"),
        ({"face": "60,15,40,45"}, "face region 60,15,40,45 in a picture of 90x80 pixels"),
        ({"device": "abacus"}, "device 'abacus', which torch"),
        ({"device": "meta"}, "device 'meta', which torch"),
        ({"image": None}, "the following arguments are required: --image"),
        ({"size": "512"}, "unrecognized arguments: --size 512"),
    ],
)
def test_options(refused, no_model, options, got):
    assert got in refused(**options)


def test_a_negative_margin(refused, no_model):
    assert "movement margin -1" in refused(movement_margin="-1")


# --- pictures and faces ---


def test_a_picture_that_is_none(refused, no_model, voice_path):
    assert "voice.wav: not a picture" in refused(image=voice_path)


def test_a_picture_that_is_not_there(refused, no_model, tmp_path):
    assert "nobody.png: " in refused(image=tmp_path / "nobody.png")


def test_no_face_found_and_no_region_given(refused, no_model, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    Image.new("RGB", (90, 80), "grey").save(tmp_path / "plain.png")
    assert "plain.png: no face found and no region given" in refused(image=tmp_path / "plain.png")


def test_a_mask_of_another_size(refused, no_model, tmp_path):
    Image.new("L", (80, 90), 255).save(tmp_path / "mask.png")
    assert "mask.png: a mask of 80x90 pixels" in refused(mask=tmp_path / "mask.png")


# --- voices ---


def test_a_voice_of_no_length(refused, no_model, wav_of):
    assert "empty.wav: no sound" in refused(audio=wav_of("empty.wav", 0))


def test_a_voice_of_a_hundredth_of_a_second(refused, no_model, wav_of):
    assert "short.wav: a voice of 0.01 s (160 samples)" in refused(audio=wav_of("short.wav", 0.01))


def test_a_truncated_mp3(refused, no_model, tmp_path):
    path = tmp_path / "cut.mp3"
    tone = np.sin(np.arange(44100, dtype=np.float32) / 20)[None] / 2
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libmp3lame", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "cut.mp3: cut short" in refused(audio=path)


def test_samples_that_are_no_numbers(refused, no_model, tmp_path):
    samples = np.full(1600, np.nan, "<f4").tobytes()
    sound = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, 16000, 64000, 4, 32)  # 3: floating point
    sound += struct.pack("<4sI", b"data", len(samples)) + samples
    (tmp_path / "nan.wav").write_bytes(struct.pack("<4sI4s", b"RIFF", 4 + len(sound), b"WAVE") + sound)
    assert "nan.wav: NaN or infinite samples" in refused(audio=tmp_path / "nan.wav")


# --- models ---


def test_a_model_that_is_not_there(refused, tmp_path):
    assert "no.safetensors, which does not exist" in refused(model=tmp_path / "no.safetensors")


def test_a_truncated_model(refused, tmp_path, model_path):
    (tmp_path / "half.safetensors").write_bytes(model_path.read_bytes()[:500_000])
    assert "which breaks off or is no file of weights" in refused(model=tmp_path / "half.safetensors")


def test_a_model_of_another_architecture(refused, tmp_path):
    save_file({"unet.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    said = refused(model=tmp_path / "other.safetensors")
    assert "other.safetensors seems to be nothing known (1 tensors: unet.weight" in said


class MakesAFolder:
    """Unpickled, this makes a folder."""

    def __init__(self, path: str):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_a_pickle_is_not_executed(refused, tmp_path, name):
    (tmp_path / name).write_bytes(pickle.dumps(MakesAFolder(str(tmp_path / "executed"))))
    assert name in refused(model=tmp_path / name)
    assert not (tmp_path / "executed").exists()


# --- the key that signs ---


@pytest.fixture
def locked_key(tmp_path):
    """Options that name a certificate and its key, which "open sesame" opens."""
    made = make_local_certificate("Studio", timedelta(days=9))
    key = serialization.load_pem_private_key(made.key_pem, None)
    locked = serialization.BestAvailableEncryption(b"open sesame")
    (tmp_path / "chain.pem").write_bytes(made.chain_pem)
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    )
    return {"signing_certificate": tmp_path / "chain.pem", "signing_key": tmp_path / "key.pem"}


@pytest.mark.parametrize(
    ("pass_phrase", "got"), [("close sesame", "wrong pass phrase"), ("", "locked, and no pass phrase")]
)
def test_a_pass_phrase_that_does_not_open_the_key(
    refused, no_model, locked_key, monkeypatch, caplog, pass_phrase, got
):
    monkeypatch.setenv("COMFYUI_EMO_SIGNING_PASS_PHRASE", pass_phrase)
    said = refused(**locked_key)
    assert "key.pem" in said and got in said
    assert "sesame" not in said + caplog.text


def test_a_certificate_without_its_key(refused, no_model, locked_key):
    assert "a signing certificate without a key" in refused(**{**locked_key, "signing_key": None})


def test_a_certificate_that_has_expired(refused, no_model, locked_key):
    made = make_local_certificate("Studio", timedelta(days=0.5))
    for name, content in (("signing_certificate", made.chain_pem), ("signing_key", made.key_pem)):
        locked_key[name].write_bytes(content)
    assert "chain.pem, a certificate that has expired" in refused(**locked_key)


# --- the output ---


def test_an_output_folder_that_is_not_there(refused, no_model, out_folder):
    path = out_folder / "none" / "a.mp4"
    assert f"output folder {path.parent}, which is not there" in refused(out=path)


def test_an_output_folder_that_cannot_be_written_to(refused, no_model):
    # Not even root may make a file in /proc.
    assert "/proc/a.mp4 cannot be written" in refused(out="/proc/a.mp4")


def test_an_output_that_is_no_mp4(refused, no_model, out_folder):
    assert "talking.avi" in refused(out=out_folder / "talking.avi")
