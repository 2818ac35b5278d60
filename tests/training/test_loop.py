"""The training loop: rate schedule, checkpoints, resuming."""

import pytest
import torch
from torch import nn

from comfyui_emo.errors import InputError
from comfyui_emo.training.loop import LoopSettings, TrainingRun, learning_rate


def settings(steps: int, **changes) -> LoopSettings:
    return LoopSettings(steps, **{"learning_rate": 0.1, "warmup_steps": 4, "checkpoint_every": 3, **changes})


def test_the_rate_rises_stays_and_falls():
    chosen = settings(100, decay_share=0.5)
    rates = [learning_rate(step, chosen) for step in range(100)]
    assert rates[0] == pytest.approx(0.025)
    assert rates[10] == rates[49] == pytest.approx(0.1)
    assert rates[75] == pytest.approx(0.05)
    assert rates[99] == pytest.approx(0.002)


def make_run(folder, steps: int, **changes) -> tuple[TrainingRun, nn.Linear]:
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    return TrainingRun(model, settings(steps, **changes), folder / "run.ckpt", seed=1), model


def train(run: TrainingRun, model: nn.Linear, stop_after: int | None = None) -> None:
    done = 0

    def losses(generator: torch.Generator):
        nonlocal done
        if stop_after is not None and done == stop_after:
            raise KeyboardInterrupt
        done += 1
        x = torch.randn(8, 3, generator=generator)
        return {"loss": (model(x) - x.sum(1, keepdim=True)).square().mean()}

    run.run(losses)


optimisers = pytest.mark.parametrize("orthogonal", [False, True], ids=["adamw", "orthogonal"])


@optimisers
def test_a_cut_run_goes_on_as_if_it_had_not_been_cut(tmp_path, orthogonal):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    run, model = make_run(whole, 10, orthogonal=orthogonal)
    train(run, model)
    first, first_model = make_run(cut, 10, orthogonal=orthogonal)
    with pytest.raises(KeyboardInterrupt):
        train(first, first_model, stop_after=7)  # the last checkpoint is that of step 6
    second, second_model = make_run(cut, 10, orthogonal=orthogonal)
    assert second.step == 6
    train(second, second_model)
    torch.testing.assert_close(second_model.state_dict(), model.state_dict())
    torch.testing.assert_close(second.averaged, run.averaged)


@optimisers
def test_a_checkpoint_of_another_optimiser_is_refused(tmp_path, orthogonal):
    run, model = make_run(tmp_path, 3, orthogonal=orthogonal)
    train(run, model)
    with pytest.raises(InputError, match="a checkpoint of the same optimiser"):
        make_run(tmp_path, 3, orthogonal=not orthogonal)


@optimisers
def test_training_learns_and_averages(tmp_path, orthogonal):
    run, model = make_run(tmp_path, 300, orthogonal=orthogonal)
    train(run, model)
    run.load_averaged_weights()
    torch.testing.assert_close(model.weight.detach(), torch.ones(1, 3), atol=0.05, rtol=0)


def test_settings_are_checked():
    with pytest.raises(InputError, match="steps 0"):
        LoopSettings(0)
