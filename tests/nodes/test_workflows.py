"""The workflows that come with the pack, checked against the blocks' declarations."""

import json
from itertools import combinations
from pathlib import Path
from uuid import UUID

import pytest
from PIL import Image

from comfyui_emo import NODE_CLASS_MAPPINGS
from comfyui_emo.models.checkpoints.tables import family_named

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
WIDGET_TYPES = {"INT": int, "FLOAT": (int, float), "STRING": str, "BOOLEAN": bool}

# The host's own blocks as ComfyUI 0.8.0 declares them: sockets in, sockets out, number of widgets' values.
CORE = {
    "AudioConcat": ({"audio1": "AUDIO", "audio2": "AUDIO"}, ["AUDIO"], 1),
    "CheckpointLoaderSimple": ({}, ["MODEL", "CLIP", "VAE"], 1),
    "CLIPTextEncode": ({"clip": "CLIP"}, ["CONDITIONING"], 1),
    "EmptyLatentImage": ({}, ["LATENT"], 3),
    "ImageStitch": ({"image1": "IMAGE", "image2": "IMAGE"}, ["IMAGE"], 4),
    "ImageUpscaleWithModel": ({"upscale_model": "UPSCALE_MODEL", "image": "IMAGE"}, ["IMAGE"], 0),
    "KSampler": (
        {
            "model": "MODEL",
            "positive": "CONDITIONING",
            "negative": "CONDITIONING",
            "latent_image": "LATENT",
        },
        ["LATENT"],
        7,
    ),
    "LoadImage": ({}, ["IMAGE", "MASK"], 2),
    "LoadAudio": ({}, ["AUDIO"], 3),
    "PreviewImage": ({"images": "IMAGE"}, [], 0),
    "SaveVideo": ({"video": "VIDEO"}, [], 3),
    "UpscaleModelLoader": ({}, ["UPSCALE_MODEL"], 1),
    "VAEDecode": ({"samples": "LATENT", "vae": "VAE"}, ["IMAGE"], 0),
}
LOADERS = {"CheckpointLoaderSimple": "checkpoints", "UpscaleModelLoader": "upscale_models"}
# What models of published weights are used by.
PUBLISHED = ("echomimic", "hallo", "v-express")
TITLE_PX = 30
THUMBNAIL_PX, THUMBNAIL_BYTES = 512, 60_000
NOTES = {"Note", "MarkdownNote"}


def declared_inputs(node_type: str) -> dict[str, tuple]:
    declared = NODE_CLASS_MAPPINGS[node_type].INPUT_TYPES()
    return {**declared["required"], **declared.get("optional", {})}


def is_widget(spec: tuple) -> bool:
    return isinstance(spec[0], list) or spec[0] in WIDGET_TYPES


def outputs_of(node_type: str) -> list[str]:
    return CORE[node_type][1] if node_type in CORE else list(NODE_CLASS_MAPPINGS[node_type].RETURN_TYPES)


def input_type(node_type: str, name: str) -> str:
    return CORE[node_type][0][name] if node_type in CORE else declared_inputs(node_type)[name][0]


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.stem)
def workflow(request):
    return json.loads(request.param.read_text(encoding="utf-8"))


@pytest.fixture
def nodes(workflow):
    return {node["id"]: node for node in workflow["nodes"]}


def test_the_workflows_are_these():
    own = ["face-in-large-picture", "long-voice", "portrait-from-image-model", "song-speed-curve"]
    names = [*own, "talk-blocks", "talk-simple", *PUBLISHED]
    assert [path.stem for path in WORKFLOWS] == sorted(names)


def test_published_weights_are_named_with_their_files_source_and_licence(nodes):
    for node in nodes.values():
        if node["type"] == "EMOLoadModel" and "models" in node["properties"]:
            family = family_named(node["widgets_values"][0].split("[")[1].removesuffix("]"))
            models = node["properties"]["models"]
            assert {Path(model["name"]).stem for model in models} == {file.name for file in family.layouts[0]}
            assert all(model["url"].startswith(family.source + "/resolve/main/") for model in models)
            assert all(model["url"].endswith("/" + model["name"]) for model in models)
            (note,) = [node["widgets_values"][0] for node in nodes.values() if node["type"] in NOTES]
            licence = family.licence.split(" (")[0]
            assert licence in note and family.source in note
            defaults = family.config.defaults
            shown = f"{defaults.steps} steps, guidance {defaults.voice_guidance:g}, {defaults.fps:g} fps"
            assert shown in note


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_workflow_has_a_small_thumbnail(path):
    thumbnail = path.with_suffix(".jpg")
    assert thumbnail.stat().st_size < THUMBNAIL_BYTES
    with Image.open(thumbnail) as picture:
        assert picture.format == "JPEG" and max(picture.size) == THUMBNAIL_PX


def test_no_node_lies_over_another(nodes):
    corners = [(*node["pos"], *node["size"]) for node in nodes.values()]
    boxes = [(x, y, x + width, y + height) for x, y, width, height in corners]
    for (left, top, right, bottom), (x, y, x_end, y_end) in combinations(boxes, 2):
        assert right <= x or x_end <= left or bottom <= y - TITLE_PX or y_end <= top - TITLE_PX


def test_weights_are_named_with_their_public_source(nodes):
    for node in nodes.values():
        if node["type"] in LOADERS:
            (model,) = node["properties"]["models"]
            assert model["name"] == node["widgets_values"][0]
            assert model["directory"] == LOADERS[node["type"]]
            assert model["url"].startswith("https://") and model["url"].endswith("/" + model["name"])


def test_every_workflow_has_a_note_and_known_nodes(nodes):
    types = {node["type"] for node in nodes.values()}
    assert types & NOTES
    notes = [node["widgets_values"][0] for node in nodes.values() if node["type"] in NOTES]
    assert all(note.startswith("# ") and len(note) > 200 for note in notes)
    assert types - NOTES - set(CORE) <= set(NODE_CLASS_MAPPINGS)


def test_every_workflow_has_an_id_that_the_page_takes(workflow):
    assert str(UUID(workflow["id"])) == workflow["id"]


def test_links_join_sockets_of_one_type(workflow, nodes):
    for link, source, output, target, socket, kind in workflow["links"]:
        origin, end = nodes[source], nodes[target]
        assert outputs_of(origin["type"])[output] == kind
        assert origin["outputs"][output]["type"] == kind and link in origin["outputs"][output]["links"]
        assert end["inputs"][socket]["link"] == link
        assert input_type(end["type"], end["inputs"][socket]["name"]) == kind
        assert origin["order"] < end["order"]


def test_every_input_that_is_no_widget_is_connected(nodes):
    for node in nodes.values():
        if node["type"] in NODE_CLASS_MAPPINGS:
            required = NODE_CLASS_MAPPINGS[node["type"]].INPUT_TYPES()["required"]
            connected = {entry["name"] for entry in node["inputs"] if entry["link"] is not None}
            assert {name for name, spec in required.items() if not is_widget(spec)} <= connected


def test_saved_sockets_are_the_declared_ones(nodes):
    for node in nodes.values():
        if node["type"] in NODE_CLASS_MAPPINGS:
            declared = declared_inputs(node["type"])
            assert {entry["name"] for entry in node["inputs"]} == set(declared)
            widgets = {entry["name"] for entry in node["inputs"] if "widget" in entry}
            assert widgets == {name for name, spec in declared.items() if is_widget(spec)}
            names = [entry["name"] for entry in node["outputs"]]
            assert names == list(NODE_CLASS_MAPPINGS[node["type"]].RETURN_NAMES)


def test_widget_values_are_as_many_and_of_the_kind_that_is_declared(nodes):
    for node in nodes.values():
        if node["type"] in CORE:
            assert len(node["widgets_values"]) == CORE[node["type"]][2]
        elif node["type"] in NODE_CLASS_MAPPINGS:
            values = list(node["widgets_values"])
            for name, spec in declared_inputs(node["type"]).items():
                if not is_widget(spec):
                    continue
                value = values.pop(0)
                if name == "model_file" and "models" in node["properties"]:
                    continue
                if isinstance(spec[0], list):
                    assert value in spec[0], name
                else:
                    assert isinstance(value, WIDGET_TYPES[spec[0]]), name
                    assert spec[1].get("min", value) <= value <= spec[1].get("max", value), name
                if spec[1].get("control_after_generate"):
                    assert values.pop(0) in ("fixed", "randomize", "increment", "decrement")
            assert values == []


def test_inputs_that_come_with_the_pack_are_named(nodes):
    for node in nodes.values():
        folder = {"LoadImage": "portraits", "LoadAudio": "voices"}.get(node["type"])
        if folder:
            assert (ROOT / "assets" / folder / node["widgets_values"][0]).is_file()
