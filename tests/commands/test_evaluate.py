"""`comfyui-emo evaluate`: how the model is wired to the evaluation, and what is written."""

import json
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from comfyui_emo.cli import main
from comfyui_emo.commands import evaluate as command
from comfyui_emo.commands import evaluate_parts

FIGURES = {"mouth_opening_correlation": 0.5, "identified_of_8": 1.0}


class HeldOut:
    """Stands for the evaluation set: two clips of 5 frames."""

    sample_rate_hz = 16000

    @classmethod
    def load(cls):
        return cls()

    def __len__(self):
        return 2

    def first(self, clips):
        return self

    def voice(self, clip):
        return torch.sin(torch.arange(3200) / 10)


@pytest.fixture
def evaluated(monkeypatch):
    """Replaces the measuring by one video and one reconstruction; gives what came of them."""
    seen = SimpleNamespace()

    def evaluate_model(generate, reconstruct, evaluation_set, detector, settings, sheet):
        portrait = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        given = {"sample_rate_hz": 16000, "region": (0.1, 0.1, 0.9, 0.9), "speed": 0.5}
        seen.videos = [
            generate(portrait_pixels=portrait, samples=evaluation_set.voice(0), seed=seed, **given)
            for seed in settings.seeds
        ]
        seen.reconstructed, seen.settings = reconstruct(portrait), settings
        if sheet is not None:
            Image.new("RGB", (8, 8)).save(sheet)
        return {"figures": FIGURES, "spread": {"identified_of_8": 0.0}, "truth": FIGURES,
                "truth_through_autoencoder": FIGURES}  # fmt: skip

    monkeypatch.setattr(command, "EvaluationSet", HeldOut)
    monkeypatch.setattr(command, "load_detector", lambda: None)
    monkeypatch.setattr(evaluate_parts, "evaluate_model", evaluate_model)
    return seen


def test_the_model_makes_the_videos_and_the_figures_are_written(evaluated, model_path, out_folder, capsys):
    out, sheet = out_folder / "figures.json", out_folder / "sheet.png"
    options = ["--out", str(out), "--sheet", str(sheet), "--seeds", "1", "1", "2", "--device", "cpu"]
    assert main(["evaluate", "--model", str(model_path), *options]) == 0
    first, again, other = evaluated.videos
    assert first.shape == (5, 3, 64, 64)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert 0 <= float(first.min()) < float(first.max()) <= 1
    assert evaluated.reconstructed.shape == (1, 3, 64, 64)
    assert (evaluated.settings.frames_per_clip, evaluated.settings.size_px) == (4, 64)
    written = json.loads(out.read_text())
    assert (written["figures"], written["model"]["name"]) == (FIGURES, "tiny")
    assert sorted(path.name for path in out_folder.iterdir()) == ["figures.json", "sheet.png"]
    row = "mouth_opening_correlation 0.500 0.500 0.500".split()
    assert row in [line.split() for line in capsys.readouterr().out.splitlines()]


def test_what_the_model_weighs_and_how_long_its_videos_take_is_told(
    evaluated, model_path, out_folder, monkeypatch, capsys
):
    moments_s = iter(range(100))
    monkeypatch.setattr(evaluate_parts.time, "perf_counter", lambda: next(moments_s))
    out = out_folder / "figures.json"
    options = ["--out", str(out), "--seeds", "1", "2", "--device", "cpu"]
    assert main(["evaluate", "--model", str(model_path), *options]) == 0
    cost = json.loads(out.read_text())["cost"]
    assert cost["weights_mb"] == model_path.stat().st_size / 1e6
    # Each of the two videos of 5 frames takes one tick of this clock.
    assert cost["computing_s_per_video_s"] == pytest.approx(2 / (2 * 5 / 25))
    assert cost["threads"] == torch.get_num_threads()
    assert "computing_s_per_video_s" in capsys.readouterr().out


def test_a_stop_leaves_no_file(evaluated, model_path, out_folder, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate_parts, "evaluate_model", stopped)
    assert main(["evaluate", "--model", str(model_path), "--out", str(out_folder / "a.json")]) == 130
    assert list(out_folder.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "got"),
    [
        (["--seeds", "-1"], "seed -1"),
        (["--steps", "0"], "steps 0"),
        (["--sheet", "sheet.doc"], "contact sheet sheet.doc"),
        (["--out", "/proc/a.json"], "/proc/a.json cannot be written"),
        (["--clips", "few"], "invalid int value: 'few'"),
        (["--parts", "all"], "invalid choice: 'all'"),
        (["--parts", "drift", "--sheet", "sheet.png"], "sheet.png without --parts figures"),
        (["--recording", "nowhere.wav"], "nowhere.wav"),
    ],
)
def test_bad_options(capsys, options, got):
    assert main(["evaluate", *options]) == 2
    assert got in capsys.readouterr().err
