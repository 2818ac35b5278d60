"""What happens in the graph before anything is sampled: memory is looked after, terms are shown."""

from dataclasses import replace

import pytest
import torch

from comfyui_emo.models.checkpoints import emo
from comfyui_emo.steps import memory, sampling, talk
from comfyui_emo.steps.video_file import read_video


@pytest.fixture
def bundled(workplace, tiny_weights, monkeypatch):
    """The tiny model in the place of the bundled one."""
    monkeypatch.setattr(emo.load_model, "__defaults__", (tiny_weights,))


@pytest.fixture
def parts(run, workplace, image, audio):
    model = run("EMOLoadModel", model_file="tiny.safetensors")[0]
    face = run("EMOFaceRegion", image=image, x=8, y=10, width=20, height=24)[0]
    reference, _ = run("EMOReferenceNet", model=model, image=image, face=face)
    return {
        "model": model,
        "reference": reference,
        "voice": run("EMOEncodeAudio", model=model, audio=audio)[0],
    }


@pytest.fixture
def sampled(monkeypatch):
    clips, real = [], sampling.denoise_clip
    monkeypatch.setattr(sampling, "denoise_clip", lambda *given: clips.append(1) or real(*given))
    return clips


def test_a_device_that_cannot_hold_a_clip_is_refused_before_the_first(
    run, refused, workplace, bundled, parts, image, audio, sampled, monkeypatch
):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1_000_000)
    for said in (refused("EMOSampler", **parts), refused("EMOTalk", image=image, audio=audio)):
        assert "0.00 GB free on cpu, for a run that needs about 0.06 GB there" in said
    assert not sampled
    assert not list(workplace.glob("user/*/*")) and not list(workplace.glob("temp/*"))


def test_the_host_is_asked_for_room_beside_the_weights(run, parts):
    asked, model = [], parts["model"]

    def bring(*names, memory_bytes=0):
        asked.append((set(names), memory_bytes))
        return model.bring(*names)

    run("EMOSampler", **{**parts, "model": replace(model, bring=bring)})
    names, memory_bytes = asked[-1]
    assert names == {name for name, _ in model.networks.named_children()}
    assert memory_bytes == memory.estimate_memory(model.config, True).beside_weights(1) > 64_000_000


def test_with_little_memory_the_simple_block_decodes_fewer_frames_at_once(
    run, bundled, tiny_weights, image, audio, monkeypatch
):
    need = memory.estimate_memory(emo.load_model(tiny_weights).config, True)
    need = replace(need, decode_frame=10 * need.decode_frame)
    monkeypatch.setattr(memory, "estimate_memory", lambda *_: need)
    seen, real = [], talk.decode_clip

    def decode(networks, latents, frames_at_once):
        seen.append(frames_at_once)
        return real(networks, latents, frames_at_once)

    monkeypatch.setattr(talk, "decode_clip", decode)
    monkeypatch.setattr(memory, "free_bytes", lambda device: need.beside_weights(2))
    (path,) = run("EMOTalk", image=image, audio=audio)
    assert set(seen) == {2} and len(read_video(path).frames) == 13


@pytest.mark.parametrize(("free_for", "at_once"), [(16, [16, 4]), (7, [4] * 5), (0, [1] * 20)])
def test_with_little_memory_the_vae_decodes_fewer_pictures_at_once(
    run, parts, monkeypatch, free_for, at_once
):
    vae = run("EMOLoadModel", model_file="tiny.safetensors")[1]
    need = replace(memory.estimate_memory(vae.model.config, False), clip=0)
    latents = torch.rand(20, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    expected = vae.decode(latents)
    seen, autoencoder = [], vae.model.networks.autoencoder
    real = autoencoder.decode
    monkeypatch.setattr(autoencoder, "decode", lambda part: seen.append(len(part)) or real(part))
    monkeypatch.setattr(memory, "free_bytes", lambda device: need.beside_weights(free_for))
    torch.testing.assert_close(vae.decode(latents), expected)
    assert seen == at_once


def test_the_simple_block_shows_the_terms_of_its_own_model_once(
    run, bundled, workplace, image, audio, monkeypatch, caplog
):
    monkeypatch.setenv("COMFYUI_EMO_HOME", str(workplace / "home"))
    run("EMOTalk", image=image, audio=audio)
    assert "Animate only people" in caplog.text
    caplog.clear()
    run("EMOTalk", image=image, audio=audio)
    assert "Animate only people" not in caplog.text


def test_a_model_that_is_loaded_shows_its_terms_once(run, workplace, monkeypatch, caplog):
    monkeypatch.setenv("COMFYUI_EMO_HOME", str(workplace / "home"))
    run("EMOLoadModel", model_file="tiny.safetensors")
    assert caplog.text.count("Animate only people") == 1
    run("EMOLoadModel", model_file="tiny.safetensors")
    assert caplog.text.count("Animate only people") == 1
