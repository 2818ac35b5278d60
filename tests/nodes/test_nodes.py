"""The graph's blocks without a host: from the host's tensors to a file, and what they refuse."""

from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from comfyui_emo.errors import InputError, WeightsError
from comfyui_emo.models.build import build_networks
from comfyui_emo.models.checkpoints import emo
from comfyui_emo.steps import talk
from comfyui_emo.steps.decoding import decode_clip
from comfyui_emo.steps.graph_model import ModelVae
from comfyui_emo.steps.video_file import read_video


@pytest.fixture
def model(run, workplace):
    model, _ = run("EMOLoadModel", model_file="tiny.safetensors")
    return model


@pytest.fixture
def vae(model):
    return ModelVae(model)


@pytest.fixture
def parts(run, model, image, audio):
    """What the sampler is connected to."""
    face, *_ = run("EMOFaceRegion", image=image, x=8, y=10, width=20, height=24)
    reference, _ = run("EMOReferenceNet", model=model, image=image, face=face)
    voice, *_ = run("EMOEncodeAudio", model=model, audio=audio)
    return {"model": model, "reference": reference, "voice": voice}


# --- the whole way ---


def test_the_blocks_make_a_video_as_long_as_the_voice(run, workplace, model, vae, image, audio):
    voice, sound, frame_count, fps = run("EMOEncodeAudio", model=model, audio=audio, start=0.1, duration=0.23)
    assert (frame_count, fps) == (6, 25.0)  # 0.23 s at the model's 25 fps, rounded up
    assert sound["waveform"].shape == (1, 2, 1840) and sound["sample_rate"] == 8000
    face, mask, *_ = run("EMOFaceRegion", image=image, x=8, y=10, width=20, height=24)
    assert mask.shape == (1, 48, 40) and mask.sum() == 20 * 24 and mask[0, 10, 8] == 1
    reference, portrait = run("EMOReferenceNet", model=model, image=image, face=face)
    assert portrait.shape == (1, 32, 32, 3)
    (motion,) = run("EMOHeadMotion", model=model, style="calm")
    assert motion.speed == model.config.defaults.calm
    (latent,) = run("EMOSampler", model=model, reference=reference, voice=voice, motion=motion)
    assert latent["samples"].shape == (6, 4, 4, 4)
    images = vae.decode(latent["samples"])
    assert images.shape == (6, 32, 32, 3) and images.min() >= 0 and images.max() <= 1
    (path,) = run("EMOCombineVideo", images=images, audio=sound, fps=fps, filename_prefix="clips/EMO")
    assert path == workplace / "output" / "clips" / "EMO_00001_.mp4"
    video = read_video(path)
    assert video.frames.shape == (6, 32, 32, 3) and video.fps == Fraction(25)
    assert abs(video.voice.duration_s - 0.23) < 1e-6
    assert "Synthetic media" in video.metadata["comment"]
    brightness = torch.from_numpy(video.frames).float().mean((1, 2, 3)) / 255
    assert torch.allclose(brightness, images.mean((1, 2, 3)), atol=0.02)


def test_the_simple_block_makes_the_same_video_as_the_blocks(
    run, workplace, model, image, audio, tiny_weights, monkeypatch, caplog
):
    decoded = []  # compared before they are encoded: H.264 makes much of the last bit of a colour
    monkeypatch.setattr(talk, "decode_clip", lambda *args: decoded.append(decode_clip(*args)) or decoded[-1])
    monkeypatch.setattr(emo.load_model, "__defaults__", (tiny_weights,))
    (path,) = run("EMOTalk", image=image, audio=audio)
    assert path.parent == workplace / "temp"
    video = read_video(path)
    assert len(video.frames) == 13  # 0.5 s at 25 fps, rounded up
    assert "the middle of the picture is taken for the face" in caplog.text
    height = round(model.config.defaults.face_share * 48)
    width = round(0.8 * height)
    middle = {"x": (40 - width) // 2, "y": (48 - height) // 2, "width": width, "height": height}
    face, *_ = run("EMOFaceRegion", image=image, **middle)
    reference, _ = run("EMOReferenceNet", model=model, image=image, face=face)
    voice, sound, _, fps = run("EMOEncodeAudio", model=model, audio=audio)
    (latent,) = run("EMOSampler", model=model, reference=reference, voice=voice)
    frames = {"latent": latent, "vae": ModelVae(model)}
    images = frames["vae"].decode(latent["samples"])
    assert torch.allclose(torch.cat(decoded).movedim(1, -1)[:13], images, atol=1e-3)
    (again,) = run("EMOCombineVideo", **frames, audio=sound, fps=fps, save_output=False)
    assert abs(read_video(again).frames - video.frames.astype(float)).mean() < 4


def test_a_seed_a_step_count_and_a_motion_change_the_result(run, parts, model):
    (plain,) = run("EMOSampler", **parts)
    (same,) = run("EMOSampler", **parts)
    (fast,) = run("EMOHeadMotion", model=model, style="by speed", speed=2.0)
    assert torch.equal(plain["samples"], same["samples"])
    changes = {"seed": 1, "steps": 3, "voice_guidance": 4.0, "motion": fast}
    for change in changes.items():
        (other,) = run("EMOSampler", **dict([*parts.items(), change]))
        assert not torch.equal(plain["samples"], other["samples"]), change


def test_margins_given_by_hand_widen_the_movement_mask(run, model, image):
    (still,) = run("EMOHeadMotion", model=model, style="by speed", speed=0.0)

    def mask(**margins):
        face, *_ = run("EMOFaceRegion", image=image, x=12, y=14, width=16, height=20, **margins)
        reference, _ = run("EMOReferenceNet", model=model, image=image, face=face)
        return reference.movement_mask(still, model.config)[0, 0]

    usual, wide, tall = mask(), mask(margin_x=0.25), mask(margin_y=0.25)
    assert wide.amax(0).sum() > usual.amax(0).sum() and tall.amax(1).sum() > usual.amax(1).sum()
    # The other side keeps the room that suits the speed.
    assert torch.allclose(wide.amax(1), usual.amax(1), atol=1e-6)


def test_a_mask_says_where_the_face_is(run, image):
    mask = torch.zeros(1, 48, 40)
    mask[0, 5:25, 10:30] = 1
    face, drawn, *_ = run("EMOFaceRegion", image=image, mask=mask)
    assert str(face.region) == "10,5,20,20" and torch.equal(drawn, mask)


def test_sound_that_does_not_fit_the_frames_is_cut_or_padded_and_said(run, workplace, image, audio, caplog):
    frames = image.expand(20, -1, -1, -1)
    (path,) = run("EMOCombineVideo", images=frames, audio=audio)
    assert abs(read_video(path).voice.duration_s - 0.8) < 1e-3 and "followed by silence" in caplog.text
    (path,) = run("EMOCombineVideo", images=frames[:5], audio=audio)
    assert path.name == "EMO_00002_.mp4"
    assert abs(read_video(path).voice.duration_s - 0.2) < 1e-3 and "the audio is cut" in caplog.text


def test_a_face_drawn_in_the_editor_is_the_same_as_in_numbers(run, image):
    drawn = '{"x": 8, "y": 10, "width": 20, "height": 24, "picture": [40, 48]}'
    margins = {"margin_x": 0.1, "margin_y": 0.5}
    by_editor, mask, crop, preview = run("EMOFaceRegion", image=image, region=drawn, **margins)
    by_numbers, *_ = run("EMOFaceRegion", image=image, x=8, y=10, width=20, height=24, **margins)
    assert by_editor == by_numbers and mask.sum() == 20 * 24
    # 2 pixels on the left and right, 12 above and below, of which 2 are above the picture.
    assert torch.equal(crop, image[:, 0:46, 6:30])
    assert preview.shape == image.shape and not torch.equal(preview, image)
    inside = slice(14, 30)
    assert torch.equal(preview[:, inside, inside.start : 24], image[:, inside, inside.start : 24])


def test_a_drawn_curve_moves_the_head_as_it_says(run, refused, parts, model, audio):
    points = "[[0, 0.0], [0.5, 2.0]]"
    (motion,) = run("EMOHeadMotion", model=model, style="by curve", curve=points, audio=audio)
    assert motion.speeds(0, 2, 4).tolist() == [[0.0, 1.0]] and motion.highest_speed == 2.0
    (level,) = run("EMOHeadMotion", model=model, style="by curve", curve="[[0, 2.0]]")
    (constant,) = run("EMOHeadMotion", model=model, style="by speed", speed=2.0)
    (drawn,), (one,), (other,) = (
        run("EMOSampler", **parts, motion=motion) for motion in (motion, level, constant)
    )
    assert torch.equal(one["samples"], other["samples"])
    assert not torch.equal(drawn["samples"], one["samples"])
    assert "draw the curve" in refused("EMOHeadMotion", model=model, style="by curve")


# --- bad input: the node turns red with the project's words ---


def test_pictures_that_cannot_be_used_are_refused(run, refused, model, image):
    two = image.expand(2, -1, -1, -1)
    assert "a batch of 2 pictures" in refused("EMOFaceRegion", image=two, width=9, height=9)
    assert "RGB without alpha" in refused("EMOFaceRegion", image=torch.rand(1, 48, 40, 4), width=9, height=9)
    assert "0 to 1" in refused("EMOFaceRegion", image=image * 255, width=9, height=9)
    assert "an empty mask" in refused("EMOFaceRegion", image=image, mask=torch.zeros(1, 48, 40))
    assert "the picture's own size" in refused("EMOFaceRegion", image=image, mask=torch.ones(1, 64, 64))
    assert "a MASK of shape [2," in refused("EMOFaceRegion", image=image, mask=torch.ones(2, 48, 40))
    drawn = '{"x": 8, "y": 10, "width": 20, "height": 24, "picture": [64, 64]}'
    assert "drawn on a picture of 64x64 pixels for one of 40x48" in refused(
        "EMOFaceRegion", image=image, region=drawn
    )
    assert "inside the picture" in refused("EMOFaceRegion", image=image, x=30, width=20, height=20)
    face, *_ = run("EMOFaceRegion", image=image, width=20, height=20)
    larger = torch.rand(1, 96, 80, 3)
    assert "one and the same picture" in refused("EMOReferenceNet", model=model, image=larger, face=face)


def test_an_upscalers_overshoot_is_cut(run, image):
    face, *_ = run("EMOFaceRegion", image=image * 1.1 - 0.05, width=20, height=20)
    assert face.picture_px == (40, 48)


def test_no_face_and_no_detector_is_an_error_unless_the_middle_is_wanted(
    run, refused, workplace, image, caplog
):
    assert "by hand" in refused("EMOFaceRegion", image=image)
    face, *_ = run("EMOFaceRegion", image=image, if_no_face="take the middle of the picture")
    assert face.region.x + face.region.width / 2 == pytest.approx(20, abs=0.5)
    assert "no face detector weights" in caplog.text


def test_sound_that_cannot_be_used_is_refused(refused, model, audio):
    def heard(waveform, **settings):
        given = {"waveform": waveform, "sample_rate": 8000}
        return refused("EMOEncodeAudio", model=model, audio=given, **settings)

    assert "one recording" in heard(torch.zeros(2, 1, 4000))
    assert "start within the audio" in heard(torch.zeros(1, 1, 0))
    assert "start 3 s in an audio of 0.5 s" in heard(audio["waveform"], start=3.0)
    assert "a voice of 0.02 s" in heard(audio["waveform"], duration=0.02)
    assert "NaN" in heard(torch.full((1, 1, 4000), torch.nan))
    assert "fps" in heard(audio["waveform"], fps=0.5)


def test_parts_of_another_model_are_refused(run, refused, parts, workplace, tiny_weights):
    copy = workplace / "models" / "emo" / "copy.safetensors"
    copy.write_bytes(tiny_weights.read_bytes())
    other, vae = run("EMOLoadModel", model_file="copy.safetensors")
    message = refused("EMOSampler", **{**parts, "model": other})
    assert "a portrait encoded by tiny.safetensors for the model copy.safetensors" in message
    with pytest.raises(InputError, match=r"\[frames, 4, height, width\]"):
        vae.decode(torch.zeros(1, 16, 8, 8))


def test_models_that_cannot_be_used_are_refused(run, workplace, model):
    with pytest.raises(WeightsError, match=r"no file or folder gone.safetensors.*models.emo"):
        run("EMOLoadModel", model_file="gone.safetensors")


def test_a_model_without_parts_of_its_own_takes_the_hosts(run, refused, workplace, model, image, audio):
    config = replace(model.config, autoencoder=None, voice_encoder=None)
    emo.save_model(workplace / "models" / "emo" / "bare.safetensors", build_networks(config), {})
    bare, no_vae = run("EMOLoadModel", model_file="bare.safetensors")
    face = run("EMOFaceRegion", image=image, x=8, y=10, width=20, height=24)[0]
    assert "Load VAE" in refused("EMOReferenceNet", model=bare, image=image, face=face)
    assert "Load Audio Encoder" in refused("EMOEncodeAudio", model=bare, audio=audio)
    with pytest.raises(InputError, match="Load VAE"):
        no_vae.decode(torch.zeros(1, 4, 4, 4))
    reference, _ = run("EMOReferenceNet", model=bare, image=image, face=face, vae=ModelVae(model))
    heard = []

    class Encoder:
        """One block of 8 channels, 50 frames a second: the embedding before it, then its output."""

        def encode_audio(self, waveform, sample_rate):
            heard.append((waveform, sample_rate))
            ramp = torch.arange(waveform.shape[-1] // 320).float()[None, :, None].expand(-1, -1, 8)
            return {"encoded_audio_all_layers": (-ramp, ramp)}

    voice = run("EMOEncodeAudio", model=bare, audio=audio, audio_encoder=Encoder())[0]
    waveform, sample_rate = heard[0]
    assert sample_rate == 16000 and waveform.shape == (1, 1, 8000)
    assert abs(float(waveform.mean())) < 1e-4 and float(waveform.std()) == pytest.approx(1, abs=1e-3)
    steps = voice.features[0, 2:10, 0].diff()  # 25 frames a second hear two more features each
    assert torch.allclose(steps, torch.full_like(steps, 2.0), atol=1e-4)
    (latent,) = run("EMOSampler", model=bare, reference=reference, voice=voice)
    assert latent["samples"].shape == (13, 4, 4, 4) and latent["samples"].isfinite().all()


def test_settings_out_of_range_are_refused(refused, parts):
    assert "guidance 0.5" in refused("EMOSampler", **parts, voice_guidance=0.5)
    assert "set fps" in refused("EMOCombineVideo", images=torch.rand(1, 32, 32, 3), audio=_silence(), fps=0.0)
    odd = torch.rand(1, 33, 33, 3)
    assert "even sides" in refused("EMOCombineVideo", images=odd, audio=_silence())


def _silence() -> dict:
    return {"waveform": torch.zeros(1, 1, 8000), "sample_rate": 8000}
