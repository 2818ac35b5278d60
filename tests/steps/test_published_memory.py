"""What runs of published families are estimated to need, beside what lives while they run."""

from copy import deepcopy

import pytest
import torch
from families import SMALL_ECHOMIMIC, SMALL_HALLO, SMALL_V_EXPRESS, load_module, small_networks
from small_families import small_autoencoder, small_voice_encoder_config

from comfyui_emo.errors import InputError
from comfyui_emo.models.checkpoints.emo import LoadedModel
from comfyui_emo.models.spectrogram_encoder import SpectrogramEncoder, SpectrogramEncoderConfig
from comfyui_emo.models.voice_encoder import VoiceEncoder
from comfyui_emo.steps import memory
from comfyui_emo.steps.face_region import FaceRegion
from comfyui_emo.steps.head_motion import HeadMotion
from comfyui_emo.steps.memory import LivingTensors
from comfyui_emo.steps.portrait import Portrait
from comfyui_emo.steps.published_memory import estimate_published, require_memory
from comfyui_emo.steps.sampling_settings import SamplingSettings
from comfyui_emo.steps.talk import TalkRequest, animate, fit_to_model, talk_timeline
from comfyui_emo.steps.voice import Voice

CPU = torch.device("cpu")
FAMILIES = pytest.mark.parametrize(
    "family", [SMALL_HALLO, SMALL_ECHOMIMIC, SMALL_V_EXPRESS], ids=lambda family: family.name
)


def model_of(family, tmp_path) -> LoadedModel:
    networks = small_networks(family)
    networks.autoencoder = small_autoencoder(load_module)
    if family is SMALL_ECHOMIMIC:
        networks.voice_encoder = SpectrogramEncoder(SpectrogramEncoderConfig(positions=50)).eval()
    else:
        networks.voice_encoder = VoiceEncoder(small_voice_encoder_config(load_module)).eval()
    return LoadedModel(networks, tmp_path, {})


def request(model: LoadedModel, seconds: float) -> TalkRequest:
    voice = Voice(torch.sin(torch.arange(round(16000 * seconds)) * 0.1) * 0.3, 16000, "tone")
    settings = SamplingSettings(1, voice_guidance=2.0)
    picture = Portrait(torch.full((1, 3, 128, 128), 0.5), "grey")
    fps = model.config.defaults.fps
    return TalkRequest(picture, FaceRegion(30, 20, 60, 80), voice, HeadMotion(0.5), settings, fps)


def need_of(model: LoadedModel, seconds: float, guided: bool = True):
    return estimate_published(model.networks, talk_timeline(model, request(model, seconds)), guided)


@FAMILIES
def test_the_estimate_is_near_what_lives_during_a_run(family, tmp_path, monkeypatch):
    # Nothing is estimated while tensors are counted: those of the estimate would be, too.
    monkeypatch.setattr(memory, "free_bytes", lambda device: None)
    model = model_of(family, tmp_path)
    wanted = request(model, 0.4)
    fitted = fit_to_model(wanted.portrait, wanted.region, model.config)
    with LivingTensors() as living:
        for _ in animate(model, fitted, wanted, CPU):
            pass
    need = need_of(model, 0.4)
    assert 0.8 < (need.clip + need.video) / living.peak < 1.35


@FAMILIES
def test_what_grows_with_the_voice_is_counted(family, tmp_path):
    model = model_of(family, tmp_path)
    short, long = need_of(model, 1), need_of(model, 10)
    assert long.video == pytest.approx(10 * short.video, rel=0.15)
    assert long.weights == short.weights == sum(
        part.numel() * part.element_size() for part in model.networks.parameters()
    )


def test_guidance_takes_more_and_half_precision_less(tmp_path):
    model = model_of(SMALL_HALLO, tmp_path)
    guided, alone = need_of(model, 1), need_of(model, 1, guided=False)
    assert alone.clip <= guided.clip
    # A copy, because other tests share these networks.
    half = LoadedModel(deepcopy(small_networks(SMALL_HALLO, True)), tmp_path, {})
    half.networks.autoencoder, half.networks.voice_encoder = (
        model.networks.autoencoder,
        model.networks.voice_encoder,
    )
    half.networks.backbone.half()
    assert need_of(half, 1).video * 2 == guided.video


@FAMILIES
def test_too_little_is_refused_with_the_figures(family, tmp_path, monkeypatch):
    model = model_of(family, tmp_path)
    timeline = talk_timeline(model, request(model, 3))
    need = estimate_published(model.networks, timeline, True)
    require_memory(model, timeline, CPU, True, need.beside_weights(1))
    together = "clip" if family is SMALL_HALLO else "window"
    message = f"0.00 GB for weights, .* GB for 3 s of voice, the rest for a {together} of 4 frames.*shorter"
    with pytest.raises(InputError, match=message):
        require_memory(model, timeline, CPU, True, need.beside_weights(1) - 1)
    monkeypatch.setattr(memory, "free_bytes", lambda device: need.beside_weights(1) + need.weights // 2)
    with pytest.raises(InputError, match="free on cuda, for a run that needs about"):
        require_memory(model, timeline, torch.device("cuda"), True)  # where the weights are not yet
    monkeypatch.setattr(memory, "free_bytes", lambda device: None)
    require_memory(model, timeline, CPU, True)
