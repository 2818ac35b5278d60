"""Models of published weights in the graph, without a host: small files under the published names."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from families import SMALL, load_module, write_published
from small_families import SIDE_PX, shrink, small_voice_encoder_config

from comfyui_emo import NODE_CLASS_MAPPINGS
from comfyui_emo.errors import WeightsError
from comfyui_emo.models.picture_autoencoder import PictureAutoencoder
from comfyui_emo.models.voice_encoder import VoiceEncoder
from comfyui_emo.steps import published_memory, published_sampling, windows
from comfyui_emo.steps.video_file import read_video

FAMILIES = ("hallo", "echomimic", "echomimic-acc", "v-express")
VOICE_S = 0.2


@pytest.fixture(autouse=True)
def _small_files_are_the_published_ones(monkeypatch):
    shrink(load_module, monkeypatch.setattr)


@pytest.fixture
def audio(audio):
    """A voice of two of Hallo's small clips."""
    return {**audio, "waveform": audio["waveform"][..., : round(VOICE_S * audio["sample_rate"])]}


@pytest.fixture
def face(run, image):
    return run("EMOFaceRegion", image=image, x=8, y=10, width=20, height=24)[0]


def put(workplace: Path, name: str) -> str:
    """Put a family's files into models/emo; the name that the list shows."""
    write_published(workplace / "models" / "emo" / name, SMALL[name])
    return f"{name} [{name}]"


def choices() -> list[str]:
    return NODE_CLASS_MAPPINGS["EMOLoadModel"].INPUT_TYPES()["required"]["model_file"][0]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_blocks_make_a_video_as_long_as_the_voice(run, workplace, image, audio, face, name):
    chosen = put(workplace, name)
    assert choices() == ["bundled avatar model", chosen, "tiny.safetensors"]
    model, vae = run("EMOLoadModel", model_file=chosen)
    voice, sound, frame_count, fps = run("EMOEncodeAudio", model=model, audio=audio)
    defaults = SMALL[name].config.defaults
    assert (fps, frame_count) == (defaults.fps, -(-VOICE_S * defaults.fps // 1))
    reference, portrait = run("EMOReferenceNet", model=model, image=image, face=face)
    assert portrait.shape == (1, SIDE_PX, SIDE_PX, 3)
    parts = {"model": model, "reference": reference, "voice": voice, "steps": 1}
    (latent,) = run("EMOSampler", **parts)
    assert latent["samples"].shape == (frame_count, 4, SIDE_PX // 8, SIDE_PX // 8)
    assert not torch.equal(latent["samples"], run("EMOSampler", **parts, seed=1)[0]["samples"])
    (path,) = run("EMOCombineVideo", latent=latent, vae=vae, audio=sound, fps=fps)
    video = read_video(path)
    assert video.frames.shape == (frame_count, SIDE_PX, SIDE_PX, 3) and video.frames.std() > 1
    assert abs(video.voice.duration_s - VOICE_S) < 1e-3


def test_the_simple_block_takes_a_connected_model(run, workplace, image, audio):
    model, _ = run("EMOLoadModel", model_file=put(workplace, "echomimic-acc"))
    (path,) = run("EMOTalk", image=image, audio=audio, model=model)
    video = read_video(path)
    assert video.frames.shape == (5, SIDE_PX, SIDE_PX, 3) and video.fps == 24


@pytest.mark.parametrize(
    ("name", "module", "function", "kept"),
    [
        ("hallo", published_sampling, "denoise_halves", "clip 1 of 2"),
        ("echomimic", windows, "frame_windows", "step 1"),
    ],
)
def test_a_stopped_sampler_goes_on_when_it_is_queued_again(
    run, workplace, image, audio, face, monkeypatch, caplog, name, module, function, kept
):
    caplog.set_level(logging.INFO)
    model, vae = run("EMOLoadModel", model_file=put(workplace, name))
    parts = {
        "model": model,
        "reference": run("EMOReferenceNet", model=model, image=image, face=face)[0],
        "voice": run("EMOEncodeAudio", model=model, audio=audio)[0],
    }
    whole = run("EMOSampler", **parts, steps=2)[0]
    whole["emo_run"].remove()
    real, calls = getattr(module, function), []

    def counted(*given, **named):
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*given, **named)

    monkeypatch.setattr(module, function, counted)
    with pytest.raises(KeyboardInterrupt):
        run("EMOSampler", **parts, steps=2)
    again = run("EMOSampler", **parts, steps=2)[0]
    assert f"going on after {kept}, from" in caplog.text and len(calls) == 3
    assert torch.equal(again["samples"], whole["samples"])
    run("EMOSampler", **parts, steps=2, seed=1)
    assert "were made with another seed; with that they go on" in caplog.text
    calls.clear()
    assert torch.equal(run("EMOSampler", **parts, steps=2)[0]["samples"], whole["samples"]) and not calls
    run("EMOCombineVideo", latent=again, vae=vae, audio=audio)
    assert not again["emo_run"].folder.exists()


def test_sampling_asks_the_host_for_room_and_is_refused_without(
    run, refused, workplace, image, audio, face, monkeypatch
):
    model, _ = run("EMOLoadModel", model_file=put(workplace, "hallo"))
    asked, plain = [], model.bring

    def bring(*names, memory_bytes=0):
        asked.append(memory_bytes)
        return plain(*names)

    model = replace(model, bring=bring)
    voice = run("EMOEncodeAudio", model=model, audio=audio, duration=0.1)[0]
    reference = run("EMOReferenceNet", model=model, image=image, face=face)[0]
    parts = {"model": model, "reference": reference, "voice": voice, "steps": 1}
    run("EMOSampler", **parts)
    need = max(asked)
    assert need > 64_000_000  # what libraries take alone
    monkeypatch.setattr(published_memory, "free_bytes", lambda device: need - 1)
    said = refused("EMOSampler", **parts, seed=1)
    assert "GB free on cpu beside the weights, for sampling with hallo, which takes about" in said
    monkeypatch.setattr(published_memory, "free_bytes", lambda device: need)
    run("EMOSampler", **parts, seed=1)


def test_licences_are_told_where_a_model_is_chosen():
    tooltip = NODE_CLASS_MAPPINGS["EMOLoadModel"].INPUT_TYPES()["required"]["model_file"][1]["tooltip"]
    assert "Hallo, Hallo2: MIT" in tooltip and "V-Express: non-commercial research only" in tooltip
    assert "Moore" not in tooltip


class Vae:
    """The host's VAE of the same weights as the model's own."""

    def __init__(self, autoencoder: PictureAutoencoder):
        self.own = autoencoder

    def encode(self, pixels):
        return self.own.encode(pixels.movedim(-1, 1))

    def decode(self, samples):
        return self.own.decode(samples).clamp(0, 1).movedim(1, -1)


class AudioEncoder:
    """The host's AUDIO_ENCODER, with the names that ComfyUI gives its weights."""

    def __init__(self, encoder: VoiceEncoder):
        self.weights = {name.removeprefix("wav2vec2."): value for name, value in encoder.state_dict().items()}

    def get_sd(self):
        return self.weights


def test_the_hosts_vae_and_audio_encoder_stand_in_for_the_models_own(run, workplace, image, audio, face):
    model, _ = run("EMOLoadModel", model_file=put(workplace, "hallo"))
    vae, encoder = model.networks.autoencoder, model.networks.voice_encoder

    def sampled(vae, encoder):
        voice = run("EMOEncodeAudio", model=model, audio=audio, audio_encoder=encoder)[0]
        reference = run("EMOReferenceNet", model=model, image=image, face=face, vae=vae)[0]
        parts = {"model": model, "reference": reference, "voice": voice}
        return run("EMOSampler", **parts, steps=1, voice_guidance=1.0)[0]["samples"]

    own = sampled(None, None)
    assert len(own) > 4  # more than one clip, so that frames go through the VAE on the way
    model.networks.autoencoder = model.networks.voice_encoder = None
    # Features of the portrait are rounded to float16, to either side of a tie.
    assert (sampled(Vae(vae), AudioEncoder(encoder)) - own).norm() < 5e-3 * own.norm()


def test_what_the_model_lacks_is_told_by_the_block_that_needs_it(run, refused, workplace, image, audio, face):
    model, vae = run("EMOLoadModel", model_file=put(workplace, "v-express"))
    model.networks.autoencoder = model.networks.voice_encoder = None
    with pytest.raises(WeightsError, match=r"wav2vec2-base-960h \(Apache-2.0\)"):
        run("EMOEncodeAudio", model=model, audio=audio)
    assert "Load VAE" in refused("EMOReferenceNet", model=model, image=image, face=face)
    other = AudioEncoder(VoiceEncoder(small_voice_encoder_config(load_module, layers=2)))
    with pytest.raises(WeightsError, match="wav2vec 2.0 voice encoder.*tensors of wav2vec2-base-960h"):
        run("EMOEncodeAudio", model=model, audio=audio, audio_encoder=other)


def test_echomimic_hears_through_no_encoder_of_the_host(run, refused, workplace, audio):
    model, _ = run("EMOLoadModel", model_file=put(workplace, "echomimic"))
    encoder = AudioEncoder(VoiceEncoder(small_voice_encoder_config(load_module)))
    said = refused("EMOEncodeAudio", model=model, audio=audio, audio_encoder=encoder)
    assert "audio encoder of ComfyUI for echomimic, which hears through whisper-tiny" in said
    assert "wav2vec 2.0 and whisper-large-v3 only" in said and "leave audio_encoder unconnected" in said


def test_shared_files_are_found_by_their_published_names(run, workplace):
    chosen = put(workplace, "hallo")
    for name in ("sd-vae-ft-mse", "wav2vec2-base-960h"):
        kind = workplace / "models" / ("vae" if "vae" in name else "audio_encoders")
        kind.mkdir()
        (workplace / "models" / "emo" / "hallo" / name).rename(kind / name)
    model, _ = run("EMOLoadModel", model_file=chosen)
    assert model.networks.autoencoder is not None and model.networks.voice_encoder is not None
    (workplace / "models" / "vae" / "sd-vae-ft-mse").rename(workplace / "models" / "vae" / "sdxl")
    model, _ = run("EMOLoadModel", model_file=chosen)
    assert model.networks.autoencoder is None  # of the same form, and another one


def test_a_face_embedding_changes_what_hallo_draws(run, refused, workplace, image, audio, face):
    model, _ = run("EMOLoadModel", model_file=put(workplace, "hallo"))
    voice = run("EMOEncodeAudio", model=model, audio=audio, duration=0.1)[0]
    (workplace / "input").mkdir()
    node = NODE_CLASS_MAPPINGS["EMOReferenceNet"]

    def sampled(name):
        given = {"model": model, "image": image, "face": face, "face_embedding": name}
        reference = run("EMOReferenceNet", **given)[0]
        (latent,) = run("EMOSampler", model=model, reference=reference, voice=voice, steps=1)
        return latent["samples"], node.IS_CHANGED(**given)

    np.save(workplace / "input" / "face.npy", np.random.default_rng(0).normal(size=16))
    known, version = sampled("face.npy")
    nobody, empty = sampled("")
    assert not torch.equal(known, nobody) and version != empty
    np.save(workplace / "input" / "face.npy", np.random.default_rng(1).normal(size=(1, 16)))
    other, newer = sampled("face.npy")
    assert not torch.equal(known, other) and newer != version
    parts = {"model": model, "image": image, "face": face}
    assert "no file 'none.npy'" in refused("EMOReferenceNet", **parts, face_embedding="none.npy")
    assert "no file '../face.npy'" in refused("EMOReferenceNet", **parts, face_embedding="../face.npy")
    bundled = run("EMOLoadModel", model_file="tiny.safetensors")[0]
    parts = {**parts, "model": bundled, "face_embedding": "face.npy"}
    assert "has no identity projection" in refused("EMOReferenceNet", **parts)


def test_settings_that_the_model_does_not_have_are_refused(run, refused, workplace, image, audio, face):
    model, _ = run("EMOLoadModel", model_file=put(workplace, "echomimic-acc"))
    parts = {
        "model": model,
        "reference": run("EMOReferenceNet", model=model, image=image, face=face)[0],
        "voice": run("EMOEncodeAudio", model=model, audio=audio)[0],
        "steps": 1,
    }
    earlier = {"samples": torch.zeros(2, 4, 16, 16)}
    for change, got in (
        ({"portrait_guidance": 2.0}, "portrait guidance 2 for echomimic-acc"),
        ({"guided_share": 0.5}, "guided share 0.5 for echomimic-acc"),
        ({"pose_noise": 1.5}, "pose noise scale 1.5 for echomimic-acc"),
        ({"clip_length": 9}, "clips of 9 frames"),
        ({"earlier": earlier}, "earlier frames to go on from"),
    ):
        assert got in refused("EMOSamplerAdvanced", **parts, **change)


def test_head_motion_that_is_not_heard_is_said(run, workplace, image, audio, face, caplog):
    model, _ = run("EMOLoadModel", model_file=put(workplace, "echomimic-acc"))
    (motion,) = run("EMOHeadMotion", model=model, style="active")
    reference = run("EMOReferenceNet", model=model, image=image, face=face)[0]
    voice = run("EMOEncodeAudio", model=model, audio=audio, duration=0.1)[0]
    run("EMOSampler", model=model, reference=reference, voice=voice, motion=motion, steps=1)
    assert "echomimic-acc has no speed layers: the head motion changes nothing" in caplog.text


def test_a_model_that_hears_nothing_is_not_listed(workplace):
    folder = workplace / "models" / "emo" / "moore"
    folder.mkdir()
    for name in ("reference_unet", "denoising_unet", "motion_module", "pose_guider"):
        (folder / f"{name}.pth").touch()
    assert choices() == ["bundled avatar model", "tiny.safetensors"]


def test_key_points_and_drawings_change_what_v_express_draws(run, refused, workplace, image, audio, face):
    model, _ = run("EMOLoadModel", model_file=put(workplace, "v-express"))
    voice = run("EMOEncodeAudio", model=model, audio=audio, duration=0.1)[0]
    (workplace / "input").mkdir()
    node = NODE_CLASS_MAPPINGS["EMOReferenceNet"]
    parts = {"model": model, "image": image, "face": face}

    def sampled(**given):
        reference = run("EMOReferenceNet", **parts, **given)[0]
        (latent,) = run("EMOSampler", model=model, reference=reference, voice=voice, steps=1)
        return latent["samples"]

    np.save(workplace / "input" / "points.npy", np.full((3, 3, 2), 20.0))
    drawings = torch.rand(3, 48, 40, 3, generator=torch.Generator().manual_seed(0))
    results = [
        sampled(),
        sampled(key_points="14,20,22,20,18,26"),
        sampled(key_points="points.npy"),
        sampled(drawings=drawings),
        sampled(drawings=drawings[[1, 0, 2]]),
    ]
    for index, one in enumerate(results):
        assert not any(torch.equal(one, other) for other in results[:index])
    version = node.IS_CHANGED(key_points="points.npy")
    np.save(workplace / "input" / "points.npy", np.full((3, 2), 20.0))
    assert node.IS_CHANGED(key_points="points.npy") != version
    assert "no file 'none.npy'" in refused("EMOReferenceNet", **parts, key_points="none.npy")
    assert "one of the two" in refused("EMOReferenceNet", **parts, key_points="points.npy", drawings=drawings)
    assert "drawings of 10x10 pixels" in refused(
        "EMOReferenceNet", **parts, drawings=torch.zeros(3, 10, 10, 3)
    )
    (reference, _) = run("EMOReferenceNet", **parts, drawings=drawings[:2])
    message = refused("EMOSampler", model=model, reference=reference, voice=voice, steps=1)
    assert "for 2 frames, for a video of 3" in message
