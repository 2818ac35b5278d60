"""Momentum made orthogonal: what a step does to matrices, kernels and vectors."""

import pytest
import torch
from torch import nn

from comfyui_emo.training.orthogonal_momentum import ADAM_BETAS, OrthogonalMomentum, orthogonalise

RATE = 0.01


def moved(value: torch.Tensor, gradient: torch.Tensor, steps: int = 1, **settings) -> torch.Tensor:
    """What is added to a parameter by some steps along the same gradient."""
    parameter = nn.Parameter(value.clone())
    optimiser = OrthogonalMomentum([parameter], RATE, **{"weight_decay": 0.0, **settings})
    for _ in range(steps):
        parameter.grad = gradient.clone()
        optimiser.step()
    return parameter.detach() - value


@pytest.mark.parametrize("shape", [(16, 64), (64, 16)])
def test_all_directions_of_a_matrix_become_alike(shape):
    generator = torch.Generator().manual_seed(0)
    matrices = torch.randn(3, *shape, generator=generator) * torch.logspace(0, -1, shape[1])
    before, after = torch.linalg.svdvals(matrices), torch.linalg.svdvals(orthogonalise(matrices))
    assert float((before[:, 0] / before[:, -1]).min()) > 3.5
    assert float(after.min()) > 0.6 and float(after.max()) < 1.25


def test_the_directions_themselves_stay():
    left, _, right = torch.linalg.svd(torch.randn(8, 12, generator=torch.Generator().manual_seed(4)))
    nearest = left @ right[:8]
    graded = left @ torch.diag(torch.linspace(0.2, 1, 8)) @ right[:8]
    agreement = torch.nn.functional.cosine_similarity(orthogonalise(graded[None])[0], nearest).min()
    assert float(agreement) > 0.95


@pytest.mark.parametrize("shape", [(32, 32), (24, 96), (96, 24), (24, 8, 3, 3)])
def test_a_step_is_as_large_as_one_of_adam(shape):
    gradient = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    step = moved(torch.zeros(shape), gradient)
    assert float(step.square().mean().sqrt()) == pytest.approx(0.18 * RATE, rel=0.15)
    assert float((step * gradient).sum()) < 0


def test_a_kernel_moves_as_its_matrix_does():
    gradient = torch.randn(12, 4, 3, 3, generator=torch.Generator().manual_seed(2))
    kernel = moved(torch.zeros(12, 4, 3, 3), gradient)
    assert torch.equal(kernel.flatten(1), moved(torch.zeros(12, 36), gradient.flatten(1)))
    channels_last = gradient.to(memory_format=torch.channels_last)
    zeros = torch.zeros(12, 4, 3, 3).to(memory_format=torch.channels_last)
    torch.testing.assert_close(moved(zeros, channels_last), kernel)


def test_vectors_move_as_adamw_moves_them():
    generator = torch.Generator().manual_seed(3)
    value, gradient = torch.randn(7, generator=generator), torch.randn(7, generator=generator)
    parameter = nn.Parameter(value.clone())
    adamw = torch.optim.AdamW([parameter], RATE, betas=ADAM_BETAS, weight_decay=0.1)
    for _ in range(5):
        parameter.grad = gradient.clone()
        adamw.step()
    torch.testing.assert_close(moved(value, gradient, 5, weight_decay=0.1), parameter.detach() - value)


def test_weights_decay_by_the_rate():
    value = torch.ones(4, 6)
    torch.testing.assert_close(
        moved(value, torch.zeros(4, 6), weight_decay=0.5), torch.full((4, 6), -RATE * 0.5)
    )


def test_what_has_no_gradient_stays():
    given, left = nn.Parameter(torch.ones(3, 3)), nn.Parameter(torch.ones(3, 3))
    given.grad = torch.eye(3)
    OrthogonalMomentum([given, left], RATE).step()
    assert torch.equal(left.detach(), torch.ones(3, 3)) and not torch.equal(given.detach(), torch.ones(3, 3))
