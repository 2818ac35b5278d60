"""What a real host tells of a graph that cannot be run: this project's text, and nothing left behind."""

import re
import shutil

import pytest
from host.graphs import (
    ROOT,
    VOICE,
    block,
    combine,
    fill_input_folder,
    latent_prompt,
    paste_prompt,
    talk_prompt,
)

BUNDLED = ROOT / "models" / "weights" / "avatar-128.safetensors"


@pytest.fixture(autouse=True)
def inputs(comfy):
    fill_input_folder(comfy.input_folder)


def other_model():
    return block("EMOLoadModel", model_file="other.safetensors", dtype="float32")


def two_pictures_to_talk():
    both = block("RepeatImageBatch", image=["image", 0], amount=2)
    talk = block("EMOTalk", image=["both", 0], audio=["audio", 0])
    return {**talk_prompt(), "both": both, "talk": talk}, "talk", "a batch of 2 pictures"


def two_pictures_to_the_reference_net():
    prompt = {**latent_prompt(), "both": block("RepeatImageBatch", image=["image", 0], amount=2)}
    prompt["reference"]["inputs"]["image"] = ["both", 0]
    return prompt, "reference", "a batch of 2 pictures"


def empty_mask():
    prompt = {**latent_prompt(), "mask": block("SolidMask", value=0.0, width=512, height=512)}
    prompt["face"]["inputs"].update(width=0, height=0, mask=["mask", 0])
    return prompt, "face", "mask"


def face_outside_the_picture():
    prompt = latent_prompt()
    prompt["face"]["inputs"].update(x=600, y=10)
    return prompt, "face", "600"


def reference_of_another_model():
    prompt = {**latent_prompt(), "other": other_model()}
    prompt["reference"]["inputs"]["model"] = ["other", 0]
    return prompt, "sampler", "a portrait encoded by other.safetensors for the model avatar-128.safetensors"


def voice_of_another_model():
    prompt = {**latent_prompt(), "other": other_model()}
    prompt["voice"]["inputs"]["model"] = ["other", 0]
    return prompt, "sampler", "a voice encoded by other.safetensors"


def start_behind_the_end():
    prompt = latent_prompt()
    prompt["voice"]["inputs"]["start"] = 9.0
    return prompt, "voice", "start 9 s in an audio of 0.6 s"


def hardly_any_voice():
    prompt = latent_prompt()
    prompt["voice"]["inputs"]["duration"] = 0.01
    return prompt, "voice", "0.01 s"


def clips_shorter_than_the_motion_frames():
    prompt = latent_prompt()
    sampler = {**prompt["sampler"]["inputs"], "scheduler": "ddim", "portrait_guidance": 1.0}
    prompt["sampler"] = block("EMOSamplerAdvanced", noise_scale=0.4, clip_length=2, **sampler)
    return prompt, "sampler", "2 frames to go on from"


def latent_without_its_vae():
    return {**latent_prompt(), "video": combine(latent=["sampler", 0])}, "video", "without a VAE"


def no_frames_at_all():
    return {**latent_prompt(), "video": combine()}, "video", "neither images nor a latent"


def latent_of_another_kind():
    prompt = {**latent_prompt(), "empty": block("EmptyLatentImage", width=128, height=128, batch_size=2)}
    prompt["video"]["inputs"]["latent"] = ["empty", 0]
    return prompt, "video", "a LATENT of shape [2, 4, 16, 16]"


def pasted_into_another_picture():
    prompt = {**paste_prompt(), "small": block("EmptyImage", width=64, height=64, batch_size=1, color=0)}
    prompt["paste"]["inputs"]["picture"] = ["small", 0]
    return prompt, "paste", "64x64 pixels"


def curve_of_nonsense():
    prompt = latent_prompt()
    prompt["motion"]["inputs"].update(style="by curve", curve="faster!")
    return prompt, "motion", "curve"


@pytest.mark.parametrize(
    "case",
    [
        two_pictures_to_talk,
        two_pictures_to_the_reference_net,
        empty_mask,
        face_outside_the_picture,
        reference_of_another_model,
        voice_of_another_model,
        start_behind_the_end,
        hardly_any_voice,
        clips_shorter_than_the_motion_frames,
        latent_without_its_vae,
        no_frames_at_all,
        latent_of_another_kind,
        pasted_into_another_picture,
        curve_of_nonsense,
    ],
    ids=lambda case: case.__name__,
)
def test_the_block_turns_red_with_the_projects_text_and_nothing_is_left(comfy, case):
    models = comfy.base / "models" / "emo"
    models.mkdir(exist_ok=True)
    if not (models / "other.safetensors").exists():
        shutil.copy(BUNDLED, models / "other.safetensors")
    before = comfy.files()
    prompt, node, got = case()
    outcome = comfy.run(prompt)
    assert outcome.status == "error" and not outcome.interrupted
    assert outcome.failed_node == node
    found = re.search(r"Got: (.*?)\.? Allowed: (.+?)\.? Do: (.+)", outcome.error.replace("\n", " "))
    assert found and got in found[1], outcome.error
    assert comfy.files() == before


def test_the_host_works_on_after_errors(comfy):
    prompt, _, _ = empty_mask()
    assert comfy.run(prompt).status == "error"
    assert comfy.run(latent_prompt(seed=5)).status == "success"
    assert (comfy.input_folder / VOICE).is_file()


def test_values_that_a_block_does_not_declare_are_refused_before_anything_runs(comfy):
    prompt = latent_prompt()
    prompt["sampler"]["inputs"]["steps"] = -1
    refusal = comfy.refused(prompt)
    assert list(refusal["node_errors"]) == ["sampler"]
