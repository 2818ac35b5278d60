"""Marks in a real host: pictures that are signed, and what is left of them behind the host's own blocks."""

import json

import pytest
from host.graphs import block, fill_input_folder, sampler_prompt, talk_prompt
from PIL import Image

from comfyui_emo.steps.marking.verify import verify_file

WORKFLOW = {"nodes": [{"id": 7}]}


@pytest.fixture(autouse=True)
def inputs(comfy):
    fill_input_folder(comfy.input_folder)


def outputs_of(comfy, prompt):
    outcome = comfy.run(prompt, extra_data={"extra_pnginfo": {"workflow": WORKFLOW}})
    assert outcome.status == "success", outcome.messages
    return outcome.outputs


def test_frames_are_saved_as_signed_pictures_with_the_graph_inside(comfy):
    outputs = outputs_of(
        comfy,
        {
            **sampler_prompt(),
            "decode": block("VAEDecode", samples=["sampler", 0], vae=["model", 1]),
            "first": block("ImageFromBatch", image=["decode", 0], batch_index=3, length=2),
            "save": block(
                "EMOSaveImage", images=["first", 0], latent=["sampler", 0], filename_prefix="stills/frame",
                consent="A drawing.",
            ),
            "verify": block("EMOVerify", file=["save", 0]),
        },
    )  # fmt: skip
    files = [comfy.file(entry) for entry in outputs["save"]["images"]]
    assert [path.name for path in files] == ["frame_00001_.png", "frame_00002_.png"]
    (report,) = outputs["verify"]["text"]
    assert "frame_00002_.png: marked as synthetic" in report and "valid; nothing was changed" in report
    for path in files:
        found = verify_file(path)
        assert found.credentials.state == "valid" and found.credentials.synthetic
        assert found.credentials.generation["model"]["name"] == "avatar-128"
        assert found.credentials.generation["consent"] == "A drawing."
        assert found.credentials.payload == f"{found.watermark.payload:08x}"
        with Image.open(path) as picture:
            assert picture.size == (128, 128) and json.loads(picture.info["workflow"]) == WORKFLOW


def test_what_save_video_leaves_of_the_simple_blocks_marks(comfy):
    prompt = talk_prompt()
    prompt["talk"]["inputs"] |= {"aigc": True, "label": True, "consent": "A drawing."}
    outputs = outputs_of(comfy, prompt)
    (shown,), (saved,) = (outputs[node]["images"] for node in ("talk", "save"))
    before, after = verify_file(comfy.file(shown)), verify_file(comfy.file(saved))
    assert before.credentials.state == "valid"
    assert before.credentials.generation["consent"] == "A drawing."
    assert after.credentials.state == "absent" and after.verdict == "marked"
    assert after.watermark.payload == before.watermark.payload
    assert json.loads(after.notices["AIGC"])["Label"] == "1"
