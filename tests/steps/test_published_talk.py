"""From a picture and a voice to frames with models of published weights, at the recordings' size."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from families import SMALL_ECHOMIMIC, SMALL_HALLO, SMALL_V_EXPRESS, load_module, small_networks
from small_families import small_autoencoder, small_voice_encoder_config

from comfyui_emo.errors import InputError, WeightsError
from comfyui_emo.models.checkpoints.emo import LoadedModel
from comfyui_emo.models.checkpoints.tables import family_named
from comfyui_emo.models.spectrogram_encoder import SpectrogramEncoder, SpectrogramEncoderConfig
from comfyui_emo.models.voice_encoder import VoiceEncoder
from comfyui_emo.steps.face_region import FaceRegion
from comfyui_emo.steps.head_motion import HeadMotion
from comfyui_emo.steps.portrait import Portrait
from comfyui_emo.steps.published_talk import require_voice_driven
from comfyui_emo.steps.region_masks import draw_key_points, key_points_of, lip_region, voice_regions
from comfyui_emo.steps.sampling import Progress
from comfyui_emo.steps.sampling_settings import SamplingSettings
from comfyui_emo.steps.talk import TalkRequest, animate, fit_to_model, part_count
from comfyui_emo.steps.voice import Voice

FACE = FaceRegion(30, 20, 60, 80)


def complete(family) -> LoadedModel:
    """The family with a random autoencoder and voice encoder, for pictures of 128x128 pixels."""
    torch.manual_seed(0)
    networks = small_networks(family)
    networks.autoencoder = small_autoencoder(load_module)
    if family is SMALL_ECHOMIMIC:
        networks.voice_encoder = SpectrogramEncoder(SpectrogramEncoderConfig(positions=50)).eval()
    else:
        networks.voice_encoder = VoiceEncoder(small_voice_encoder_config(load_module)).eval()
    return LoadedModel(networks, Path(family.name), {})


def request(model: LoadedModel, seed: int = 0, frequency: float = 0.05, guidance: float = 2.0) -> TalkRequest:
    generator = torch.Generator().manual_seed(3)
    picture = torch.rand(1, 3, 128, 128, generator=generator)
    tone = torch.sin(torch.arange(3200) * frequency) * 0.3
    return TalkRequest(
        Portrait(picture, "drawn"),
        FACE,
        Voice(tone, 16000, "tone"),
        HeadMotion(0.5),
        SamplingSettings(1, voice_guidance=guidance, seed=seed),
        Fraction(model.config.defaults.fps),
    )


def frames_of(model: LoadedModel, wanted: TalkRequest, told: list[Progress] | None = None) -> torch.Tensor:
    fitted = fit_to_model(wanted.portrait, wanted.region, model.config)
    on_progress = (told if told is not None else []).append
    parts = animate(model, fitted, wanted, torch.device("cpu"), on_progress)
    return torch.cat(list(parts))


@pytest.mark.parametrize("family", [SMALL_HALLO, SMALL_ECHOMIMIC, SMALL_V_EXPRESS], ids=lambda f: f.name)
def test_a_voice_becomes_as_many_frames_as_it_lasts(family):
    model = complete(family)
    told: list[Progress] = []
    frames = frames_of(model, request(model), told)
    assert frames.shape == (-(-3200 * int(model.config.defaults.fps) // 16000), 3, 128, 128)
    assert bool(frames.isfinite().all()) and float(frames.min()) >= 0 and float(frames.max()) <= 1
    assert told[-1].clip == told[-1].clips == part_count(model, request(model))
    assert not torch.allclose(frames, frames_of(model, request(model, seed=1)), atol=1e-3)
    assert not torch.allclose(frames, frames_of(model, request(model, frequency=0.5)), atol=1e-4)


def test_what_is_missing_beside_the_model_is_named():
    model = complete(SMALL_HALLO)
    model.networks.autoencoder = model.networks.voice_encoder = None
    with pytest.raises(WeightsError, match=r"sd-vae-ft-mse \(MIT\).*wav2vec2-base-960h \(Apache-2.0\)"):
        frames_of(model, request(model))


def of_size(model: LoadedModel, width_px: int, height_px: int) -> LoadedModel:
    """The same model for pictures of another size."""
    defaults = replace(model.config.defaults, width_px=width_px, height_px=height_px)
    model.networks.config = replace(model.config, defaults=defaults)
    return model


@pytest.mark.parametrize("family", [SMALL_ECHOMIMIC, SMALL_V_EXPRESS], ids=lambda f: f.name)
def test_pictures_need_not_be_square_where_the_voice_has_no_regions(family, monkeypatch):
    model = complete(family)
    monkeypatch.setattr(model.networks, "config", model.config)  # the networks are shared by all tests
    model = of_size(model, 64, 128)
    frames = frames_of(model, request(model))
    assert frames.shape[1:] == (3, 128, 64) and bool(frames.isfinite().all())
    low = replace(request(model), region=FaceRegion(30, 40, 60, 80))  # the picture is cut out elsewhere
    assert not torch.equal(frames, frames_of(model, low))


def test_hallo_wants_a_square_picture(monkeypatch):
    model = complete(SMALL_HALLO)
    monkeypatch.setattr(model.networks, "config", model.config)
    model = of_size(model, 64, 128)
    with pytest.raises(InputError, match="a picture of 64x128 pixels for hallo.*a square one.*both sides"):
        frames_of(model, request(model))


def test_a_model_without_a_voice_is_refused():
    with pytest.raises(InputError, match="the model moore, which hears no voice"):
        require_voice_driven(family_named("moore").config)


def test_a_face_embedding_of_another_shape_is_refused_before_it_runs():
    model = complete(SMALL_HALLO)
    for shape in ((1, 512), (16,), (2, 16)):
        given = replace(request(model), identity=torch.zeros(shape))
        with pytest.raises(InputError, match=r"a face embedding of shape .* for hallo.*\[1, 16\]"):
            frames_of(model, given)


def test_the_three_masks_share_out_the_picture():
    face = FACE.scaled(4, 4)
    regions = voice_regions(face, lip_region(face), 512, 4)
    assert [mask.shape for mask in regions.masks] == [(3, 1, side**2) for side in (64, 32, 16, 8)]
    around, inner, lips = regions.masks[0][:, 0].unflatten(-1, (64, 64))
    row, column = 45, 30  # the lips, in cells of 8 pixels
    assert float(lips[row, column]) > 0.8 and float(around[row, column]) < 0.3
    assert float(inner[22, 30]) > 0.6 > float(lips[22, 30])  # between the eyes
    assert float(around[62, 62]) > 0.8 > float(lips[62, 62])
    assert bool((around + inner + lips >= 0.98).all())  # nothing is left out


def test_the_drawing_of_key_points_is_a_v_in_three_colours():
    drawing = draw_key_points(key_points_of(FACE), 128, 128)[0]
    left, right, nose = (49, 52), (70, 52), (60, 69)
    for (x, y), channel in ((left, 0), (right, 1), (nose, 2)):
        assert drawing[:, y, x].argmax() == channel and float(drawing[channel, y, x]) == 1
    assert float(drawing[0, 60, 54]) == pytest.approx(0.6)  # halfway from the left eye to the nose
    assert float(drawing[:, 120, 120].sum()) == 0
