"""EMO Verify, and the marks of EMO Combine Video, EMO Save Image and EMO Talk."""

import json

import pytest
import torch
from PIL import Image

from comfyui_emo.steps.graph_runs import RUN_KEY, SamplingRun
from comfyui_emo.steps.marking.marks import Origin
from comfyui_emo.steps.video_file import read_video

pytest.importorskip("c2pa")


@pytest.fixture
def images() -> torch.Tensor:
    """[24, 128, 128, 3], a soft shading."""
    return torch.linspace(0.3, 0.7, 128)[None, :, None, None].expand(24, 128, 128, 3)


@pytest.fixture
def sound() -> dict:
    return {"waveform": torch.zeros(1, 1, 16000 * 24 // 25), "sample_rate": 16000}


def result(block) -> tuple:
    return block["result"] if isinstance(block, dict) else block


def test_a_combined_video_is_marked_and_verified(run, workplace, images, sound):
    (video,) = result(run("EMOCombineVideo", images=images, audio=sound, consent="A drawing."))
    verdict, report, text = result(run("EMOVerify", file="", video=video))
    found = json.loads(text)
    assert verdict == "marked" and "watermark: found" in report
    assert found["credentials"]["generation"]["consent"] == "A drawing."
    assert found["credentials"]["payload"] == found["watermark"]["payload"]
    assert found["credentials"]["generation"]["voice"]["sha256"]


def test_the_switch_leaves_marks_out(run, workplace, images, sound):
    (video,) = result(run("EMOCombineVideo", images=images, audio=sound, marks=False))
    assert result(run("EMOVerify", file="", video=video))[0] == "unmarked"


def test_a_name_in_the_output_folder(run, refused, workplace, images, sound):
    (video,) = result(run("EMOCombineVideo", images=images, audio=sound, filename_prefix="mine"))
    assert result(run("EMOVerify", file=video.name))[0] == "marked"
    assert "no file '../secret.mp4'" in refused("EMOVerify", file="../secret.mp4")
    assert "no file ''" in refused("EMOVerify", file="")


def test_a_video_in_memory_is_refused(refused, workplace):
    class Memory:
        def get_stream_source(self):
            return object()

    assert "a video in memory" in refused("EMOVerify", file="", video=Memory())


def test_pictures_are_saved_marked_one_after_the_other(run, workplace, images):
    graph = {"prompt": {"1": {"class_type": "EMOSaveImage"}}, "extra_pnginfo": {"workflow": {"nodes": [1]}}}
    (name,) = result(run("EMOSaveImage", images=images[:2], filename_prefix="mine/EMO", **graph))
    assert name == "mine/EMO_00002_.png"
    files = sorted((workplace / "output" / "mine").iterdir())
    assert [path.name for path in files] == ["EMO_00001_.png", "EMO_00002_.png"]
    verdict, report, text = result(run("EMOVerify", file=name))
    found = json.loads(text)
    assert verdict == "marked" and "watermark: found" in report
    assert found["credentials"]["payload"] == found["watermark"]["payload"]
    assert found["record"]["title"] == "EMO_00002_.png"
    assert json.loads(Image.open(files[0]).info["workflow"]) == {"nodes": [1]}
    (plain,) = result(run("EMOSaveImage", images=images[:1], marks=False))
    assert result(run("EMOVerify", file=plain))[0] == "unmarked"


def test_a_picture_names_the_model_and_portrait_of_its_latents(run, workplace, images):
    origin = Origin("tiny", "ab" * 32, "cd" * 32)
    latent = {"samples": None, RUN_KEY: SamplingRun(workplace, {}, origin, 1)}
    (name,) = result(run("EMOSaveImage", images=images[:1], latent=latent))
    generation = json.loads(result(run("EMOVerify", file=name))[2])["credentials"]["generation"]
    assert generation["model"] == {"name": "tiny", "sha256": "ab" * 32}
    assert generation["portrait"] == {"sha256": "cd" * 32}


@pytest.mark.parametrize(("marks", "verdict"), [(True, "marked"), (False, "unmarked")])
def test_the_simple_block_marks_its_video_and_keeps_the_consent(
    run, workplace, image, audio, marks, verdict
):
    model = run("EMOLoadModel", model_file="tiny.safetensors")[0]
    inputs = {"image": image, "audio": audio, "model": model, "marks": marks}
    (video,) = result(run("EMOTalk", **inputs, aigc=True, consent="A drawing."))
    found, _, text = result(run("EMOVerify", file="", video=video))
    assert found == verdict
    assert (json.loads(text)["credentials"]["generation"].get("consent") == "A drawing.") == marks
    assert ("AIGC" in json.loads(text)["notices"]) == marks


def test_the_simple_block_labels_its_first_seconds(run, workplace, image, audio):
    model = run("EMOLoadModel", model_file="tiny.safetensors")[0]
    inputs = {"image": image, "audio": audio, "model": model}
    plain, labelled = (
        read_video(result(run("EMOTalk", **inputs, label=label))[0]).frames.astype(int)
        for label in (False, True)
    )
    assert (plain[:, :12] - labelled[:, :12]).std() < 5 < (plain[:, 16:] - labelled[:, 16:]).std()


@pytest.mark.parametrize("node_id", ["EMOCombineVideo", "EMOSaveImage"])
def test_a_key_without_a_certificate_is_refused_and_leaves_no_file(
    refused, workplace, images, sound, monkeypatch, node_id
):
    monkeypatch.setenv("COMFYUI_EMO_SIGNING_KEY", str(workplace / "key.pem"))
    given = {"images": images} if node_id == "EMOSaveImage" else {"images": images, "audio": sound}
    assert "a signing key without a certificate" in refused(node_id, **given)
    assert [path for path in (workplace / "output").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_broken_files_have_a_verdict(run, workplace, images, share):
    (name,) = result(run("EMOSaveImage", images=images[:1]))
    whole = (workplace / "output" / name).read_bytes()
    (workplace / "output" / name).write_bytes(whole[: int(share * len(whole))])
    assert result(run("EMOVerify", file=name))[0] == "unreadable"
