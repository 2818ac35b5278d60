"""The advanced sampler, Combine Video's two ways, Paste Back and the model's VAE, without a host."""

import json

import av
import pytest
import torch

from comfyui_emo.steps.graph_model import ModelVae
from comfyui_emo.steps.video_file import read_video


@pytest.fixture
def model(run, workplace):
    return run("EMOLoadModel", model_file="tiny.safetensors")[0]


@pytest.fixture
def parts(run, model, image, audio):
    face = run("EMOFaceRegion", image=image, x=8, y=10, width=20, height=24)[0]
    reference, _ = run("EMOReferenceNet", model=model, image=image, face=face)
    voice = run("EMOEncodeAudio", model=model, audio=audio)[0]
    return {"model": model, "reference": reference, "voice": voice}


@pytest.fixture
def advanced(run):
    return lambda parts, **changes: run("EMOSamplerAdvanced", **{**parts, **changes})[0]["samples"]


def test_the_advanced_sampler_left_alone_is_the_plain_one(run, advanced, parts):
    assert torch.equal(advanced(parts), run("EMOSampler", **parts)[0]["samples"])


@pytest.mark.parametrize(
    "change",
    [
        {"scheduler": "euler"},
        {"portrait_guidance": 3.0},
        {"noise_scale": 1.0},
        {"clip_length": 7},
        {"guided_share": 1.0},
        {"pose_noise": 2.0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_advanced_setting_changes_the_frames_but_not_their_number(advanced, parts, change):
    plain, changed = advanced(parts), advanced(parts, **change)
    assert plain.shape == changed.shape and not torch.equal(plain, changed)


def test_a_run_goes_on_from_the_last_frames_of_another(refused, advanced, parts):
    first = advanced(parts)
    second = advanced(parts, earlier={"samples": first})
    assert not torch.equal(first, second)
    # only the model's two motion frames are looked at
    assert torch.equal(second, advanced(parts, earlier={"samples": first[-2:]}))
    assert "1 frames to go on from" in refused(
        "EMOSamplerAdvanced", **parts, earlier={"samples": first[-1:]}
    )
    assert "from an EMO sampler" in refused(
        "EMOSamplerAdvanced", **parts, earlier={"samples": torch.zeros(4, 9, 4, 4)}
    )


def test_half_precision_is_chosen_when_the_model_is_loaded(run, advanced, parts, workplace, image):
    half = run("EMOLoadModel", model_file="tiny.safetensors", dtype="bfloat16")[0]
    assert half.networks.backbone.dtype == torch.bfloat16
    assert half.networks.autoencoder.dtype == torch.float32
    plain, rounded = advanced(parts), advanced({**parts, "model": half})
    assert rounded.dtype == torch.float32 and not torch.equal(plain, rounded)
    assert (plain - rounded).norm() < 0.1 * plain.norm()


def test_the_models_vae_works_as_the_hosts_does(model, image):
    vae = ModelVae(model)
    pixels = torch.rand(3, 32, 40, 3)
    latents = vae.encode(pixels)
    assert latents.shape == (3, 4, 4, 5)
    assert torch.equal(latents, vae.encode_tiled(pixels, tile_x=512, overlap=64))
    decoded = vae.decode(latents)
    assert decoded.shape == (3, 32, 40, 3) and decoded.min() >= 0 and decoded.max() <= 1
    one_by_one = torch.cat([vae.decode(latents[place : place + 1]) for place in range(3)])
    torch.testing.assert_close(decoded, one_by_one)
    assert vae.spacial_compression_decode() == 8 and vae.temporal_compression_decode() is None


def test_latents_are_decoded_a_few_at_a_time_into_the_same_video_as_their_pictures(run, workplace, audio):
    generator = torch.Generator().manual_seed(0)
    samples = torch.rand(40, 4, 2, 2, generator=generator)
    asked = []

    class Vae:
        def decode(self, part):
            asked.append(len(part))
            return part[:, :3].movedim(1, 3).repeat_interleave(8, 1).repeat_interleave(8, 2)

    (path,) = run("EMOCombineVideo", latent={"samples": samples}, vae=Vae(), audio=audio)
    assert asked == [1, 16, 16, 8]
    (other,) = run("EMOCombineVideo", images=Vae().decode(samples), audio=audio)
    assert (read_video(path).frames == read_video(other).frames).all()


def test_the_graph_goes_into_the_file_under_the_names_that_comfyui_reads(run, workplace, image, audio):
    graph = {"prompt": {"1": {"class_type": "EMOTalk"}}, "extra_pnginfo": {"workflow": {"nodes": [1]}}}
    (path,) = run("EMOCombineVideo", images=image, audio=audio, **graph)
    metadata = read_video(path).metadata
    assert json.loads(metadata["prompt"]) == graph["prompt"]
    assert json.loads(metadata["workflow"]) == {"nodes": [1]}
    assert "Synthetic media" in metadata["comment"]


def test_the_format_names_the_file(run, workplace, image, audio):
    (path,) = run("EMOCombineVideo", images=image, audio=audio, format="mov")
    assert path.name == "EMO_00001_.mov"
    with av.open(str(path)) as container:
        assert container.metadata["major_brand"] == "qt  "
        assert [stream.codec_context.name for stream in container.streams] == ["h264", "aac"]


def test_combine_video_says_what_it_lacks(refused, model, image, audio):
    assert "neither images nor a latent" in refused("EMOCombineVideo", audio=audio)
    latent = {"samples": torch.zeros(2, 4, 4, 4)}
    assert "images and a latent" in refused("EMOCombineVideo", audio=audio, images=image, latent=latent)
    assert "without a VAE" in refused("EMOCombineVideo", audio=audio, latent=latent)
    other = {"samples": torch.zeros(20, 7, 4, 4)}
    told = refused("EMOCombineVideo", audio=audio, latent=other, vae=ModelVae(model))
    assert "a LATENT of shape [20, 7, 4, 4]" in told


def test_the_animated_part_goes_back_to_its_place_with_a_soft_edge(run, refused, parts, image):
    crop = parts["reference"].fitted.crop
    white = torch.ones(2, 32, 32, 3)
    picture = torch.zeros_like(image)
    (pasted,) = run("EMOPasteBack", images=white, picture=picture, reference=parts["reference"], feather=0.25)
    assert pasted.shape == (2, 48, 40, 3)
    middle_x, middle_y = crop.x + crop.width // 2, crop.y + crop.height // 2
    assert (pasted[:, middle_y, middle_x] == 1).all()
    inside = pasted[:, crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]
    outside = pasted.clone()
    outside[:, crop.y : crop.y + crop.height, crop.x : crop.x + crop.width] = 0
    assert (outside == 0).all()
    across = inside[0, crop.height // 2, : crop.width // 4, 0]
    if crop.x > 0:  # a side on the picture's border is not blended
        assert across[0] < 0.1 and (across.diff() > 0).all()
    (hard,) = run("EMOPasteBack", images=white, picture=picture, reference=parts["reference"], feather=0.0)
    assert hard.sum() == 2 * 3 * crop.width * crop.height
    small = torch.zeros(1, 20, 20, 3)
    message = refused("EMOPasteBack", images=white, picture=small, reference=parts["reference"])
    assert "the one picture that the part was cut out of" in message


def test_volume_is_brought_to_a_common_level_on_request(run, model, audio):
    quiet = {**audio, "waveform": audio["waveform"] * 0.01}
    _, sound, _, _ = run("EMOEncodeAudio", model=model, audio=quiet, normalize_volume=True)
    level = sound["waveform"].mean(1).square().mean().sqrt()
    assert 20 * torch.log10(level) == pytest.approx(-20, abs=0.5)
    ratio = sound["waveform"][0, 1, 100:200] / sound["waveform"][0, 0, 100:200]
    assert torch.allclose(ratio, torch.full_like(ratio, 0.5), atol=1e-3)  # one gain for all channels
    _, untouched, _, _ = run("EMOEncodeAudio", model=model, audio=quiet)
    assert torch.equal(untouched["waveform"], quiet["waveform"])
