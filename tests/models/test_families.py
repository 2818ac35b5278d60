"""Published files: found, told apart, and every tensor of them accounted for."""

import pickle
from itertools import cycle

import pytest
import torch
from families import FIXTURES, SMALL_ECHOMIMIC, small_assembly, write_external
from numbered import manifest
from safetensors.torch import load_file, save_file

from comfyui_emo.errors import WeightsError
from comfyui_emo.models.checkpoints import families
from comfyui_emo.models.checkpoints.assembly import assemble, expected_shapes
from comfyui_emo.models.checkpoints.families import load_family
from comfyui_emo.models.checkpoints.hallo import HALLO
from comfyui_emo.models.checkpoints.tables import FAMILIES, family_named
from comfyui_emo.models.checkpoints.weight_source import StoredTensor, WeightSource, open_weights


def on_paper(path, shapes: dict[str, list[int]]) -> WeightSource:
    """A source of tensors that take no room."""
    tensors = {
        name: StoredTensor(tuple(shape), torch.float16, lambda shape=shape: torch.empty(shape, device="meta"))
        for name, shape in shapes.items()
    }
    return WeightSource(path, tensors, {})


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_tensor_of_the_published_files_has_its_place(family, tmp_path):
    files = manifest(family)
    parts = [(file, on_paper(tmp_path / file.name, files[file.name])) for file in family.layouts[0]]
    assembly = assemble(family, parts)
    assert {name: tensor.shape for name, tensor in assembly.tensors.items()} == expected_shapes(family)
    published = {file.part + name for file in family.layouts[0] for name in files[file.name]}
    used = {name for name in published if family.own_name(name) in assembly.tensors}
    assert used | set(assembly.unused) == published


def test_hallos_parts_may_lie_in_five_files(tmp_path):
    split = HALLO.layouts[1]
    whole = manifest(HALLO)["net"]
    parts = []
    for file in split:
        own = {
            name.removeprefix(file.part): shape for name, shape in whole.items() if name.startswith(file.part)
        }
        parts.append((file, on_paper(tmp_path / file.name, own)))
    assert len(assemble(HALLO, parts).tensors) == len(expected_shapes(HALLO))


@pytest.mark.parametrize(
    "endings",
    [[".pth"], [".bin"], [".ckpt"], [".safetensors"], [".safetensors", ".pth", ".bin", ".ckpt"]],
    ids="".join,
)
def test_files_of_any_format_are_loaded(endings, tmp_path):
    files = sorted((FIXTURES / "echomimic" / "weights").glob("*.safetensors"))
    published = [file for file in files if file.stem != "face_locator_pose"]
    for file, ending in zip(published, cycle(endings), strict=False):
        tensors = {name: value.half() for name, value in load_file(file).items()}
        if ending == ".safetensors":
            save_file(tensors, tmp_path / file.name)
        else:
            torch.save({"state_dict": tensors}, tmp_path / (file.stem + ending))
    model = load_family([tmp_path], SMALL_ECHOMIMIC)
    assert model.training["family"] == "echomimic" and "Apache-2.0" in model.training["licence"]
    wanted = small_assembly(SMALL_ECHOMIMIC).tensors
    for name, value in model.networks.state_dict().items():
        assert value.dtype == torch.float16
        assert torch.equal(value, wanted[name].read().half()), name


def copy_weights(source: str, folder, leave_out: tuple[str, ...] = ()) -> None:
    for file in (FIXTURES / source / "weights").glob("*.safetensors"):
        if file.stem not in leave_out:
            (folder / file.name).write_bytes(file.read_bytes())


def test_missing_files_are_listed_all_at_once(tmp_path):
    copy_weights("echomimic", tmp_path, ("motion_module", "face_locator", "face_locator_pose"))
    with pytest.raises(WeightsError) as caught:
        load_family([tmp_path], SMALL_ECHOMIMIC)
    text = str(caught.value)
    assert "without motion_module, face_locator" in text
    assert "huggingface.co/BadToBest/EchoMimic" in text and "Apache-2.0" in text and str(tmp_path) in text
    assert "sd-vae-ft-mse (MIT) from https://huggingface.co/stabilityai/sd-vae-ft-mse there or" in text
    assert "whisper-tiny (MIT) from" in text and "into models/audio_encoders" in text
    write_external(tmp_path, SMALL_ECHOMIMIC)
    with pytest.raises(WeightsError) as caught:
        load_family([tmp_path], SMALL_ECHOMIMIC)
    assert "without motion_module" in str(caught.value) and "sd-vae-ft-mse" not in caught.value.do


def test_another_familys_file_in_a_slot_is_named(tmp_path):
    copy_weights("echomimic", tmp_path)
    other = FIXTURES / "v-express" / "weights" / "denoising_unet.safetensors"
    (tmp_path / "denoising_unet.safetensors").write_bytes(other.read_bytes())
    with pytest.raises(
        WeightsError, match="denoising_unet.safetensors seems to be V-Express's denoising network"
    ):
        load_family([tmp_path], SMALL_ECHOMIMIC)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ["model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.x"],
            "text-to-image checkpoint",
        ),
        (["lora_unet_down_blocks_0.lora_up.weight", "lora_te.alpha"], "a LoRA"),
        (["wav2vec2.feature_extractor.conv_layers.0.conv.weight"], "wav2vec 2.0 voice encoder"),
        (["down_blocks.0.motion_modules.0.temporal_transformer.norm.weight"], "temporal modules"),
        (["something.else"], "nothing known"),
    ],
)
def test_what_a_wrong_file_seems_to_be_is_said(names, said, tmp_path):
    save_file({name: torch.zeros(2) for name in names}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=said) as caught:
        load_family([tmp_path / "model.safetensors"])
    assert "published files of a family" in str(caught.value)


def test_a_text_to_image_unet_is_not_taken_for_a_family(tmp_path):
    shapes = manifest(family_named("moore"))["denoising_unet"]
    source = on_paper(tmp_path / "diffusion_pytorch_model.safetensors", shapes)
    with pytest.raises(WeightsError, match=r"text-to-image UNet \(Stable Diffusion 1.5\)"):
        families.find_assembly([source])


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_a_half_downloaded_file_is_named(ending, tmp_path):
    path = tmp_path / f"net{ending}"
    if ending == ".pth":
        torch.save({"a": torch.zeros(5000)}, path)
    else:
        save_file({"a": torch.zeros(5000)}, path)
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(WeightsError, match="half-downloaded"):
        load_family([path])


def test_two_precisions_side_by_side_are_refused(tmp_path):
    for index, file in enumerate((FIXTURES / "echomimic" / "weights").glob("*.safetensors")):
        tensors = {name: value.float() for name, value in load_file(file).items()}
        if index == 0:
            first = next(iter(tensors))
            tensors[first] = tensors[first].half()
        save_file(tensors, tmp_path / file.name)
    with pytest.raises(WeightsError, match="1 float16 and .* float32 tensors side by side"):
        load_family([tmp_path], SMALL_ECHOMIMIC)


class Bomb:
    target: str

    def __reduce__(self):
        return (open, (Bomb.target, "w"))


def test_a_pickle_that_holds_code_is_not_executed(tmp_path):
    Bomb.target = str(tmp_path / "executed")
    (tmp_path / "net.pth").write_bytes(pickle.dumps({"a": Bomb()}))
    with pytest.raises(WeightsError, match="not executed"):
        open_weights(tmp_path / "net.pth")
    assert not (tmp_path / "executed").exists()


def test_an_empty_folder_says_what_could_lie_there(tmp_path):
    with pytest.raises(WeightsError) as caught:
        load_family([tmp_path])
    assert all(family.title in str(caught.value) for family in FAMILIES)


def test_an_unknown_family_lists_the_known_ones():
    with pytest.raises(WeightsError, match="hallo, echomimic"):
        family_named("sora")
