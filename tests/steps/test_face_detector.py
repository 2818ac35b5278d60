"""kornia's YuNet with weights from a file; they are made here, so that the right answer is known."""

import pickle

import pytest
import torch

from comfyui_emo.errors import DependencyError, WeightsError
from comfyui_emo.steps import face_detector
from comfyui_emo.steps.face_region import detect_faces
from comfyui_emo.steps.portrait import Portrait

yunet = pytest.importorskip("kornia.models.yunet", reason="kornia before 0.9 names the network otherwise")

# Values per anchor: 14 of the box and landmarks, 2 scores (background, face), 1 overlap.
FACE_SCORE, OVERLAP = 15, 16


@pytest.fixture
def weights(monkeypatch, tmp_path):
    """A file of weights at the default place: every 192-pixel anchor is a face, no other is."""
    torch.manual_seed(0)
    network = yunet.YuNet("test", pretrained=False)
    state = network.state_dict()
    for key in state:
        if key.startswith("head") and ".conv2." in key:
            state[key].zero_()
    per_level = [3, 2, 2, 3]
    for level, anchors in enumerate(per_level):
        bias = state[f"head.{level}.conv2.conv2.bias"].view(anchors, 17)
        bias[:, FACE_SCORE], bias[:, OVERLAP] = -20, 1
        if level == 3:
            bias[1, FACE_SCORE] = 20
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub" / "checkpoints" / "yunet_final.pth"
    path.parent.mkdir(parents=True)
    torch.save(state, path)
    return path


def test_faces_are_found_at_their_anchors(weights):
    faces = detect_faces(Portrait(torch.rand(1, 3, 256, 320), "test"))
    assert faces
    # Anchors of the coarsest level stand at every 64 pixels from 32 on.
    whole = [face for face in faces if face.width == 192 == face.height]
    centres = {(face.x + face.width / 2, face.y + face.height / 2) for face in whole}
    assert centres and all((x - 32) % 64 == 0 and (y - 32) % 64 == 0 for x, y in centres)
    for face in faces:
        face.check_inside(320, 256)


def test_large_pictures_are_searched_at_a_smaller_size(weights):
    faces = detect_faces(Portrait(torch.rand(1, 3, 1280, 1280), "test"))
    assert max(face.width for face in faces) == pytest.approx(384)  # 192 at half the size


@pytest.mark.parametrize("size", [(16, 16), (77, 131)])
def test_any_size_is_searched(weights, size):
    detect_faces(Portrait(torch.rand(1, 3, *size), "test"))


def test_a_picture_without_a_face_has_none(weights):
    state = torch.load(weights, weights_only=True)
    state["head.3.conv2.conv2.bias"].view(3, 17)[1, FACE_SCORE] = -20
    torch.save(state, weights)
    face_detector._load.cache_clear()
    assert detect_faces(Portrait(torch.rand(1, 3, 128, 128), "test")) == []


def test_network_gets_blue_first_in_0_to_255(weights):
    seen = []
    detector = face_detector._load(str(weights), weights.stat().st_mtime_ns)
    handle = detector.model.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    red = torch.zeros(1, 3, 64, 64)
    red[:, 0] = 1
    detect_faces(Portrait(red, "test"))
    handle.remove()
    assert seen[0].mean((0, 2, 3)).tolist() == [0, 0, 255]


def test_given_path_is_used(weights, tmp_path):
    moved = weights.rename(tmp_path / "mine.pth")
    assert detect_faces(Portrait(torch.rand(1, 3, 256, 256), "test"), moved)


def test_missing_weights_name_place_and_source_and_download_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(DependencyError) as caught:
        detect_faces(Portrait(torch.rand(1, 3, 64, 64), "test"))
    assert str(tmp_path / "hub" / "checkpoints" / "yunet_final.pth") in caught.value.got
    assert "huggingface.co/kornia/yunet" in caught.value.allowed
    assert not (tmp_path / "hub").exists()


class Trap:
    """Unpickling this raises a flag."""

    sprung = False

    def __reduce__(self):
        return setattr, (Trap, "sprung", True)


def test_damaged_or_foreign_weights_are_refused_and_never_run(weights):
    portrait = Portrait(torch.rand(1, 3, 64, 64), "test")
    whole = weights.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"text", pickle.dumps(Trap(), protocol=2)):
        weights.write_bytes(content)
        with pytest.raises(WeightsError, match=r"yunet_final\.pth \(\d+ bytes\).*download it again"):
            detect_faces(portrait)
    torch.save({"other": torch.zeros(3)}, weights)
    with pytest.raises(WeightsError):
        detect_faces(portrait)
    torch.save(Trap(), weights)
    with pytest.raises(WeightsError):
        detect_faces(portrait)
    assert not Trap.sprung
