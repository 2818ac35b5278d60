"""A face embedding from a file, and what is refused as one."""

import pickle

import numpy as np
import pytest
import torch
from families import SMALL_HALLO, SMALL_V_EXPRESS
from safetensors.torch import save_file

from comfyui_emo.errors import InputError
from comfyui_emo.steps.face_embedding import check_face_embedding, read_face_embedding

NUMBERS = torch.linspace(-2, 3, 512)


@pytest.mark.parametrize("shape", [(512,), (1, 512)])
def test_the_same_numbers_from_either_kind_of_file(tmp_path, shape):
    np.save(tmp_path / "face.npy", NUMBERS.numpy().reshape(shape))
    save_file({"embedding": NUMBERS.reshape(shape)}, tmp_path / "face.safetensors")
    for name in ("face.npy", "face.safetensors"):
        assert torch.equal(read_face_embedding(tmp_path / name), NUMBERS[None])


class Bomb:
    """Unpickled, it would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def _write(path, kind):
    if kind == "text":
        np.save(path, np.array(["a", "b"]))
    elif kind == "objects":
        np.save(path, np.array([Bomb(path.with_name("executed"))], dtype=object), allow_pickle=True)
    elif kind == "a pickle":
        path.write_bytes(pickle.dumps(Bomb(path.with_name("executed"))))
    elif kind == "cut":
        np.save(path, np.ones(512))
        path.write_bytes(path.read_bytes()[:200])
    elif kind == "two faces":
        np.save(path, np.ones((2, 512)))
    elif kind == "not finite":
        np.save(path, np.full(512, np.nan))
    elif kind == "large":
        np.save(path, np.ones(200_000))
    elif kind == "half a header":
        path.write_bytes((2000).to_bytes(8, "little") + b"{")
    elif kind == "two tensors":
        save_file({"a": NUMBERS, "b": NUMBERS + 1}, path)


@pytest.mark.parametrize(
    ("name", "kind", "got"),
    [
        ("face.npy", "text", "values of the type"),
        ("face.npy", "objects", "damaged or holds objects"),
        ("face.npy", "a pickle", "damaged or holds objects"),
        ("face.npy", "cut", "damaged or holds objects"),
        ("face.npy", "two faces", r"numbers of shape \[2, 512\]"),
        ("face.npy", "not finite", "not finite"),
        ("face.npy", "large", "too large"),
        ("face.npy", "missing", "cannot be read"),
        ("face.pkl", "a pickle", "whose ending is another one"),
        ("face.safetensors", "half a header", "damaged"),
        ("face.safetensors", "two tensors", "with 2 tensors"),
    ],
)
def test_what_is_no_embedding_is_refused_and_never_executed(tmp_path, name, kind, got):
    _write(tmp_path / name, kind)
    with pytest.raises(InputError, match=f"{got}.*insightface"):
        read_face_embedding(tmp_path / name)
    assert not (tmp_path / "executed").exists()


def test_a_normalised_embedding_is_said(tmp_path, caplog):
    np.save(tmp_path / "face.npy", (NUMBERS / NUMBERS.norm()).numpy())
    read_face_embedding(tmp_path / "face.npy")
    assert "normed_embedding" in caplog.text


def test_a_model_takes_its_own_width_and_no_model_minds_none():
    for family in (SMALL_HALLO, SMALL_V_EXPRESS):
        check_face_embedding(None, family.config)
    check_face_embedding(torch.zeros(1, 16), SMALL_HALLO.config)
    with pytest.raises(InputError, match=r"shape \[1, 512\] for hallo.*\[16\] or \[1, 16\].*insightface"):
        check_face_embedding(NUMBERS[None], SMALL_HALLO.config)
    with pytest.raises(InputError, match="v-express, which has no identity projection.*leave it away"):
        check_face_embedding(NUMBERS[None], SMALL_V_EXPRESS.config)
