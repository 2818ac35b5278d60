"""What the readers' trainings learn from in tests."""

import pytest
from tone_corpus import tone_corpus

from comfyui_emo.models.checkpoints.emo import load_model
from comfyui_emo.training.dataset import DatasetSettings, Records, write_dataset


@pytest.fixture(scope="session")
def records(tmp_path_factory: pytest.TempPathFactory) -> Records:
    """Image records of 24 avatars, five pictures of each."""
    path = tmp_path_factory.mktemp("records") / "images.safetensors"
    settings = DatasetSettings(24, 4, 1, in_a_row=False, seed=3)
    write_dataset(path, tone_corpus(1, 4.0), load_model().networks.autoencoder, settings)
    return Records([path])
