"""Voices from files of every kind, and what bad ones get."""

import math
import wave

import av
import numpy as np
import pytest
import torch
from PIL import Image

from comfyui_emo.errors import InputError
from comfyui_emo.steps.voice import Voice, open_voice, read_voice


def click_track(count: int, at: int) -> np.ndarray:
    samples = np.zeros(count, dtype=np.float32)
    samples[at] = 0.9
    return samples


@pytest.mark.parametrize(
    ("name", "codec", "rate_hz", "off_by"),
    [
        ("a.wav", "pcm_s16le", 44100, 0),
        ("a.wav", "pcm_u8", 8000, 0),
        ("a.wav", "pcm_s24le", 48000, 0),
        ("a.wav", "pcm_f32le", 96000, 0),
        ("a.wav", "pcm_f64le", 192000, 0),
        ("a.flac", None, 44100, 0),
        ("a.flac", None, 192000, 0),
        ("a.mp3", None, 44100, 2),
        ("a.mp3", None, 16000, 2),
        ("a.m4a", None, 44100, 2),
        ("a.m4a", None, 16000, 2),
        ("a.opus", None, 48000, 3),
        ("a.ogg", "libopus", 24000, 3),
    ],
)
def test_length_and_click_are_where_they_were(write_sound, name, codec, rate_hz, off_by):
    count, at = rate_hz + 777, rate_hz // 3
    voice = read_voice(write_sound(name, click_track(count, at), rate_hz, codec))
    scale = voice.sample_rate_hz / rate_hz  # opus always decodes at 48 kHz
    assert voice.samples.dtype == torch.float32
    assert abs(int(voice.samples.abs().argmax()) - at * scale) <= off_by * scale
    slack = 0 if off_by == 0 else 0.035 * voice.sample_rate_hz
    assert abs(len(voice.samples) - count * scale) <= slack


def test_vorbis_is_read(write_sound, speech):
    voice = read_voice(write_sound("a.ogg", np.stack([speech, speech]), 44100))
    assert voice.duration_s == pytest.approx(2.0, abs=0.03)
    assert voice.samples.abs().max() == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize("channels", range(1, 9))
@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_channels_are_averaged(write_sound, name, channels):
    # FFmpeg's own down-mix weights the channels and adds 3 dB to floating-point stereo.
    loud = np.zeros((channels, 4410), dtype=np.float32)
    loud[-1] = 0.5
    voice = read_voice(write_sound(name, loud, 44100))
    assert voice.samples.shape == (4410,)
    assert float(voice.samples.mean()) == pytest.approx(0.5 / channels, abs=1e-4)


@pytest.mark.parametrize("channels", range(1, 9))
def test_channels_of_lossy_files_are_averaged(write_sound, speech, channels):
    loud = np.zeros((channels, len(speech)), dtype=np.float32)
    loud[0] = speech
    voice = read_voice(write_sound("a.m4a", loud, 44100))
    level, wanted = (
        voice.samples[4410:-4410].square().mean().sqrt(),
        np.sqrt(np.mean(speech[4410:-4410] ** 2)),
    )
    assert float(level) == pytest.approx(float(wanted) / channels, rel=0.05)


def test_channels_without_a_layout_are_averaged(tmp_path):
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as file:  # this module writes no channel mask
        file.setparams((5, 2, 16000, 0, "NONE", "none"))
        file.writeframes((np.ones((1600, 5)) * [0, 0, 0, 0, 16384]).astype(np.int16).tobytes())
    torch.testing.assert_close(read_voice(path).samples, torch.full((1600,), 0.1))


def test_float_stereo_keeps_its_level(write_sound):
    voice = read_voice(write_sound("a.wav", np.full((2, 8000), 0.9), 16000, "pcm_f32le"))
    torch.testing.assert_close(voice.samples, torch.full((8000,), 0.9))


@pytest.mark.parametrize("rate_hz", [8000, 11025, 22050, 44100, 48000, 96000, 192000])
def test_any_rate_becomes_the_wanted_one(write_sound, rate_hz):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate_hz) / rate_hz)
    voice = read_voice(write_sound("a.wav", tone, rate_hz, "pcm_f32le"), sample_rate_hz=16000)
    assert (voice.sample_rate_hz, len(voice.samples)) == (16000, 16000)
    wanted = 0.5 * torch.sin(2 * math.pi * 440 * torch.arange(16000) / 16000)
    torch.testing.assert_close(voice.samples[800:-800], wanted[800:-800], atol=2e-3, rtol=0)


@pytest.mark.parametrize("name", ["a.wav", "a.mp3"])
def test_part_of_a_recording(write_sound, name):
    path = write_sound(name, click_track(44100 * 2, 66150), 44100)
    voice = read_voice(path, start_s=1.0, duration_s=0.75)
    assert len(voice.samples) == 33075
    assert abs(int(voice.samples.abs().argmax()) - 22050) <= 2
    assert read_voice(path, start_s=1.5, duration_s=100).duration_s == pytest.approx(0.5, abs=0.01)


def test_sound_of_a_video_is_read(tmp_path, speech):
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=25, width=32, height=32, pix_fmt="yuv420p")
        sound = container.add_stream("pcm_s16le", rate=44100, layout="mono")
        black = np.zeros((32, 32, 3), np.uint8)
        container.mux(picture.encode(av.VideoFrame.from_ndarray(black, format="rgb24")))
        container.mux(picture.encode(None))
        whole = (speech[None] * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(whole, format="s16", layout="mono")
        frame.sample_rate = 44100
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    torch.testing.assert_close(read_voice(path).samples, torch.from_numpy(speech), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["a.mp3", "a.flac", "a.m4a"])
@pytest.mark.parametrize("share", [0.002, 0.3, 0.9])
def test_truncated_file_is_refused(write_sound, speech, name, share):
    path = write_sound(name, speech, 44100)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=rf"{name}: .*Allowed: a whole sound file.*Do: check the path"):
        read_voice(path)


def test_truncated_mp3_says_how_much_is_there(write_sound, speech):
    path = write_sound("a.mp3", speech, 44100)
    path.write_bytes(path.read_bytes()[:-8000])
    with pytest.raises(InputError, match=r"cut short: only 1\.\d\d s of 2\.0\d s"):
        read_voice(path)
    assert read_voice(path, duration_s=0.5).duration_s == 0.5  # what is whole can be used


def test_mp3_without_a_length_in_its_header_is_read_to_its_end(write_sound, speech):
    voice = read_voice(write_sound("a.mp3", speech, 44100, write_xing="0"))
    assert voice.duration_s == pytest.approx(2.0, abs=0.06)


@pytest.mark.parametrize("content", [b"", b"hello, this is no sound\n" * 99, bytes(range(256)) * 40])
def test_file_that_is_no_sound_is_refused(tmp_path, content):
    path = tmp_path / "a.mp3"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.mp3: .*Allowed: a whole sound file"):
        read_voice(path)


def test_picture_is_no_voice(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (32, 32)).save(path)
    with pytest.raises(InputError, match="no sound track"):
        read_voice(path)


def test_missing_file_and_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_voice(tmp_path / "nobody.wav")
    with pytest.raises(InputError, match="Allowed: a whole sound file"):
        read_voice(tmp_path)


@pytest.mark.parametrize("count", [0, 1, 441])
def test_zero_length_and_hundredth_of_a_second_are_refused(write_sound, count):
    path = write_sound("a.wav", np.zeros(max(count, 1)), 44100)
    if count == 0:
        path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(InputError, match=r"(at least 0\.04 s, one frame of video|no sound after 0 s)"):
        read_voice(path)


def test_start_beyond_the_end_is_refused(write_sound, speech):
    with pytest.raises(InputError, match="no sound after 5 s; it is 2 s long"):
        read_voice(write_sound("a.wav", speech, 44100), start_s=5)


@pytest.mark.parametrize(
    "span", [{"start_s": -1}, {"start_s": math.nan}, {"duration_s": 0}, {"duration_s": math.nan}]
)
def test_impossible_spans_are_refused(write_sound, speech, span):
    with pytest.raises(InputError, match="start_s of 0 or more"):
        read_voice(write_sound("a.wav", speech, 44100), **span)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("rate_hz", [None, 16000])
def test_nan_samples_are_refused(write_sound, speech, bad, rate_hz):
    speech[1000] = bad
    with pytest.raises(InputError, match=r"NaN or infinite samples.*export the recording anew"):
        read_voice(write_sound("a.wav", speech, 44100, "pcm_f32le"), sample_rate_hz=rate_hz)


def test_voice_is_mono_floating_point():
    with pytest.raises(InputError, match=r"samples \[2, 16000\]"):
        Voice(torch.zeros(2, 16000), 16000, "test")
    with pytest.raises(InputError, match="torch.int16"):
        Voice(torch.zeros(16000, dtype=torch.int16), 16000, "test")


# --- voices that stay in their file ---


def heard(voice) -> torch.Tensor:
    return torch.cat(list(voice.blocks()))


@pytest.mark.parametrize("name", ["a.wav", "a.mp3"])
@pytest.mark.parametrize("span", [{}, {"start_s": 0.5, "duration_s": 1.0}])
def test_a_voice_in_its_file_is_the_voice_in_memory(write_sound, name, span):
    path = write_sound(name, np.random.default_rng(0).normal(0, 0.1, 100_000), 44100)
    in_file, in_memory = open_voice(path, **span), read_voice(path, **span)
    assert torch.equal(heard(in_file), in_memory.samples)
    assert torch.equal(heard(in_file), heard(in_memory))
    assert in_file.sample_count == in_memory.sample_count
    assert (in_file.sample_rate_hz, in_file.source) == (44100, str(path))
    assert max(len(block) for block in in_file.blocks()) <= 65536


def test_a_digest_tells_voices_and_levels_apart(write_sound, speech):
    path, other = write_sound("a.wav", speech, 44100), write_sound("b.wav", speech[::-1].copy(), 44100)
    voice = open_voice(path)
    assert voice.digest == open_voice(path).digest
    digests = {
        voice.digest,
        voice.amplified(0.5).digest,
        open_voice(path, 0.1).digest,
        open_voice(other).digest,
    }
    assert len(digests) == 4
    in_memory = read_voice(path)
    assert in_memory.digest == read_voice(path).digest != in_memory.amplified(0.5).digest


def test_a_file_that_changes_while_it_is_used_is_noticed(write_sound, speech):
    voice = open_voice(write_sound("a.wav", speech, 44100))
    write_sound("a.wav", speech[:-500], 44100)
    with pytest.raises(InputError, match="samples, where it had 88200 before.*start again"):
        heard(voice)


@pytest.mark.parametrize(
    ("samples", "message"), [(np.full(5000, np.nan), "NaN"), (np.zeros(400), "at least 0.04 s")]
)
def test_what_is_no_voice_is_refused_when_it_is_opened(write_sound, samples, message):
    with pytest.raises(InputError, match=message):
        open_voice(write_sound("a.wav", samples, 44100, "pcm_f32le"))
