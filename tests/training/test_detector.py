"""The detector: what it learns from, how it is stored, and that the bundled one reads avatars."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from seeded import seeded

from comfyui_emo.errors import InputError, WeightsError
from comfyui_emo.training.avatars.identity import draw_identities
from comfyui_emo.training.avatars.renderer import render
from comfyui_emo.training.avatars.state import STATE, draw_states
from comfyui_emo.training.detector import AvatarDetector, DetectorConfig, load_detector, save_detector
from comfyui_emo.training.detector_training import coarsely_coded, moved, spoilt, train_detector
from comfyui_emo.training.loop import LoopSettings
from comfyui_emo.training.pictures import draw_pictures

SMALL = DetectorConfig(channels=(4, 4, 4, 4), hidden=8)


def test_moved_pictures_are_those_of_their_new_states():
    states, identity = draw_states(16, seeded(0)), draw_identities(16, seeded(1))
    pictures = render(identity, states, 64)
    changed, changed_states = moved(pictures, states, seeded(2))
    same_way = changed_states[:, STATE["yaw"]] == states[:, STATE["yaw"]]  # a mirrored avatar is another one
    assert 3 < int(same_way.sum()) < 13
    drawn = render(identity, changed_states, 64)
    central = (slice(None), slice(None), slice(14, 50), slice(14, 50))
    before = (changed - pictures)[same_way][central].abs().mean()
    assert (changed - drawn)[same_way][central].abs().mean() < 0.35 * before


def test_coding_with_a_tiny_step_changes_nothing_and_with_a_large_one_leaves_blocks():
    picture = torch.rand(2, 3, 32, 32, generator=seeded(3))
    steps = torch.tensor([1e-4, 50.0]).view(2, 1, 1, 1)
    coded = coarsely_coded(picture, steps)
    torch.testing.assert_close(coded[0], picture[0], atol=1e-3, rtol=0)
    assert coded[1].unfold(1, 8, 8).unfold(2, 8, 8).flatten(3).std(3).max() < 1e-5


def test_spoilt_pictures_stay_in_range_and_alike():
    picture = render(draw_identities(8, seeded(4)), draw_states(8, seeded(5)), 64)
    result = spoilt(picture, seeded(6))
    assert result.min() >= 0 and result.max() <= 1
    assert 0.005 < (result - picture).abs().mean() < 0.12


def test_units_are_undone_when_reading():
    detector = AvatarDetector(SMALL).eval()
    states = draw_states(5, seeded(7))
    torch.testing.assert_close(detector.in_units(states) * detector.units + detector.offsets, states)
    assert detector.detect(torch.rand(5, 3, 96, 96, generator=seeded(8))).shape == (5, 14)


def test_a_short_training_learns_goes_on_and_is_stored(tmp_path: Path):
    draw_pictures(tmp_path / "pool.safetensors", 24, seed=1, size_px=64)
    checkpoint = tmp_path / "run.ckpt"
    settings = LoopSettings(steps=3, checkpoint_every=1, log_every=1)
    detector = train_detector([tmp_path / "pool.safetensors"], checkpoint, settings, batch_size=8)
    again = train_detector([tmp_path / "pool.safetensors"], checkpoint, settings, batch_size=8)
    save_detector(tmp_path / "detector.safetensors", again, {"steps": 3})
    loaded = load_detector(tmp_path / "detector.safetensors")
    picture = torch.rand(2, 3, 64, 64, generator=seeded(9))
    torch.testing.assert_close(again.detect(picture), detector.detect(picture))
    torch.testing.assert_close(loaded.detect(picture), detector.detect(picture), atol=0.01, rtol=0.01)


def test_a_file_of_another_kind_is_refused(tmp_path: Path):
    save_file({"weight": torch.zeros(1)}, tmp_path / "other.safetensors", {"kind": "something"})
    with pytest.raises(WeightsError, match="of kind 'something'"):
        load_detector(tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="does not exist"):
        load_detector(tmp_path / "missing.safetensors")


def test_impossible_sizes_are_refused():
    with pytest.raises(InputError, match="4 widths"):
        DetectorConfig(channels=(8, 8))


def test_the_bundled_detector_is_small_and_reads_clean_and_spoilt_pictures():
    detector = load_detector()
    assert sum(parameter.numel() for parameter in detector.parameters()) < 350_000
    states = draw_states(64, seeded(990_001))
    pictures = render(draw_identities(64, seeded(990_002)), states, 128)
    soft = torch.nn.functional.avg_pool2d(pictures, 3, 1, 1, count_include_pad=False)
    for shown in (pictures, soft):
        readings = detector.detect(shown)
        for name, least in (
            ("open", 0.97),
            ("round", 0.9),
            ("yaw", 0.97),
            ("shift_x", 0.95),
            ("pitch", 0.85),
        ):
            column = STATE[name]
            together = torch.stack([states[:, column], readings[:, column]])
            assert float(torch.corrcoef(together)[0, 1]) > least, name
