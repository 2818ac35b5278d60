"""What a run is estimated to need, and what a device is said to have."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from comfyui_emo.errors import InputError
from comfyui_emo.models.avatar import avatar_config
from comfyui_emo.models.build import build_networks, parameter_count
from comfyui_emo.steps import memory
from comfyui_emo.steps.memory import LivingTensors, MemoryNeed, estimate_memory, frames_decoded_at_once

CONFIG = avatar_config()
NEED = MemoryNeed(weights=10**9, clip=10**8, decode_frame=10**8)


def test_tensors_count_while_they_live_and_views_count_once():
    with LivingTensors() as living:
        a = torch.zeros(1000)
        b = a + 1
        assert (living.now, living.peak) == (8000, 8000)
        views = [b.view(10, 100), b[:5], b.t()]
        del a
        assert (living.now, living.peak) == (4000, 8000)
        del b
        assert living.now == 4000
        del views
        torch.zeros(500)
    assert (living.now, living.peak) == (0, 8000)


def test_the_estimate_knows_the_weights_and_the_share_of_the_type():
    need = estimate_memory(CONFIG, True)
    assert need.weights == 4 * parameter_count(build_networks(CONFIG, "meta"))
    half = estimate_memory(CONFIG, True, torch.float16)
    assert 2 * half.weights == need.weights
    assert half.clip < 0.7 * need.clip
    assert estimate_memory(CONFIG, False).clip < need.clip


def test_decoding_one_frame_takes_what_it_takes_here():
    networks = build_networks(CONFIG)
    with torch.inference_mode(), LivingTensors() as living:
        networks.autoencoder.decode(torch.zeros(3, CONFIG.spatial.latent_channels, 16, 16))
    assert estimate_memory(CONFIG, True).decode_frame == pytest.approx(living.peak / 3, rel=0.02)


def test_larger_pictures_need_more():
    defaults = replace(CONFIG.defaults, width_px=256, height_px=256)
    small, large = estimate_memory(CONFIG, True), estimate_memory(replace(CONFIG, defaults=defaults), True)
    assert large.weights == small.weights
    assert 3 < large.clip / small.clip < 8
    assert large.decode_frame / small.decode_frame == pytest.approx(4, rel=0.1)


@pytest.fixture
def networks(monkeypatch):
    monkeypatch.setattr(memory, "estimate_memory", lambda *_: NEED)
    return SimpleNamespace(config=CONFIG, parameters=lambda: iter([torch.zeros(1)]))


@pytest.mark.parametrize("frames", [12, 6, 3, 2, 1])
def test_as_many_frames_as_fit_are_decoded_at_once(networks, frames):
    cpu = torch.device("cpu")
    assert frames_decoded_at_once(networks, cpu, True, NEED.beside_weights(frames)) == frames


def test_too_little_for_a_clip_is_refused_with_the_figures(networks):
    message = (
        r"0\.20 GB free on cpu, for a run that needs about 0\.23 GB.*0\.00 GB for weights.*smaller model"
    )
    with pytest.raises(InputError, match=message):
        frames_decoded_at_once(networks, torch.device("cpu"), True, 200_000_000)


def test_weights_count_where_they_are_not_yet(networks, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1_200_000_000, 8_000_000_000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 50_000_000)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 20_000_000)
    cuda = torch.device("cuda")
    assert memory.free_bytes(cuda) == 1_230_000_000
    with pytest.raises(
        InputError, match=r"1\.23 GB free on cuda.*needs about 1\.23 GB.*1\.00 GB for weights"
    ):
        frames_decoded_at_once(networks, cuda, True)
    assert frames_decoded_at_once(networks, cuda, True, 10**10) == 12


def test_a_device_that_does_not_say_is_trusted(networks):
    assert memory.free_bytes(torch.device("meta")) is None
    assert frames_decoded_at_once(networks, torch.device("meta"), True) == 12


@pytest.mark.skipif(not memory._MEMINFO.exists(), reason="no /proc to read memory from")
def test_free_memory_is_what_the_machine_and_the_container_have_left(tmp_path, monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(memory, "_CGROUPS", ())
    whole = memory.free_bytes(cpu)
    lines = dict(line.split(":", 1) for line in memory._MEMINFO.read_text().splitlines())
    assert whole is not None and 0 < whole <= 1024 * int(lines["MemTotal"].split()[0])
    limit, usage = tmp_path / "memory.max", tmp_path / "memory.current"
    usage.write_text("30000\n")
    monkeypatch.setattr(memory, "_CGROUPS", ((str(limit), str(usage)),))
    limit.write_text("max\n")
    unlimited = memory.free_bytes(cpu)
    assert unlimited is not None and unlimited > 10**6
    limit.write_text("100000\n")
    assert memory.free_bytes(cpu) == 70000
