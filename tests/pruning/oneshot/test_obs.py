"""The surgeon against exact solutions: closed form, least squares, a slow reference."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pruneflow.errors import TrainingError
from pruneflow.pruning.oneshot.obs import inverse_factor, sweep


def problem(rows: int, columns: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights, and the Hessian of correlated inputs."""
    draw = torch.Generator().manual_seed(seed)
    mixing = torch.randn(columns, columns, generator=draw, dtype=torch.float64)
    inputs = torch.randn(4 * columns, columns, generator=draw, dtype=torch.float64) @ mixing
    weights = torch.randn(rows, columns, generator=draw, dtype=torch.float64)
    return weights, inputs.mT @ inputs


def solve(
    weights: torch.Tensor, hessian: torch.Tensor, mask: torch.Tensor, block_size: int = 128
) -> torch.Tensor:
    """The surgeon's weights for a mask that is given."""
    factor = inverse_factor(hessian, 0.0)
    width = weights.shape[1]
    solved, pruned = sweep(
        weights,
        factor,
        lambda at, saliency: mask[:, at : at + saliency.shape[1]],
        min(block_size, width),
        min(block_size, width),
    )
    assert torch.equal(pruned, mask)
    return solved


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-7, atol=1e-7)


def test_the_factor_is_of_the_damped_inverse() -> None:
    hessian = torch.tensor([[4.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    factor = inverse_factor(hessian, 0.5)  # the mean of the diagonal is 3
    damped = torch.tensor([[5.5, 1.0], [1.0, 3.5]], dtype=torch.float64)
    assert close(factor.mT @ factor, damped.inverse())
    assert torch.equal(factor, factor.triu())


def test_inputs_that_were_always_zero_stand_apart() -> None:
    hessian = torch.diag(torch.tensor([4.0, 0.0, 2.0], dtype=torch.float64))
    factor = inverse_factor(hessian, 0.5)
    assert close((factor.mT @ factor).inverse().diagonal(), torch.tensor([5.5, 4.5, 3.5]).double())


def test_a_singular_hessian_asks_for_damping() -> None:
    hessian = torch.ones(3, 3, dtype=torch.float64)
    with pytest.raises(TrainingError, match="singular with damping 0: raise the damping"):
        inverse_factor(hessian, 0.0)
    assert bool(torch.isfinite(inverse_factor(hessian, 0.01)).all())


def test_one_weight_is_pruned_as_in_closed_form() -> None:
    weights, hessian = problem(1, 6)
    for place in range(6):
        mask = torch.zeros(1, 6, dtype=torch.bool)
        mask[0, place] = True
        inverse = hessian[place:, place:].inverse()  # columns before it are settled
        expected = weights.clone()
        expected[0, place:] -= weights[0, place] / inverse[0, 0] * inverse[:, 0]
        expected[0, place] = 0
        assert close(solve(weights, hessian, mask), expected)


def test_the_saliency_is_the_error_that_pruning_adds() -> None:
    weights, hessian = problem(1, 5)
    told: list[torch.Tensor] = []

    def choose(at: int, saliency: torch.Tensor) -> torch.Tensor:
        told.append(saliency)
        return torch.tensor([[at == 0]])

    solved, _ = sweep(weights, inverse_factor(hessian, 0.0), choose, 1, 1)
    change = solved - weights
    assert close(told[0][0, 0], (change @ hessian @ change.mT)[0, 0])


def test_weights_left_after_the_pruned_are_the_least_squares_solution() -> None:
    weights, hessian = problem(4, 8)
    mask = torch.zeros(4, 8, dtype=torch.bool)
    mask[:, :3] = True
    best = torch.linalg.solve(hessian[3:, 3:], hessian[3:, :] @ weights.mT).mT
    solved = solve(weights, hessian, mask)
    assert close(solved[:, 3:], best)
    assert not solved[:, :3].any()
    assert not solved[:, :3].signbit().any()


def by_inverses(weights: torch.Tensor, hessian: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The reference: an inverse of what is left for every column."""
    solved = weights.clone()
    for column in range(weights.shape[1]):
        inverse = hessian[column:, column:].inverse()
        error = solved[:, column] / inverse[0, 0] * mask[:, column]
        solved[:, column:] -= torch.outer(error, inverse[0])
    return solved.masked_fill(mask, 0.0)


@settings(max_examples=30)
@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_blocks_change_nothing_but_speed(
    rows: int, columns: int, block_size: int, seed: int
) -> None:
    weights, hessian = problem(rows, columns, seed)
    mask = torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed)) < 0.5
    # Solutions of a system agree to its condition number times the rounding of doubles.
    tolerance = 100 * columns * float(torch.linalg.cond(hessian)) * 2**-52
    expected = by_inverses(weights, hessian, mask)
    solved = solve(weights, hessian, mask, block_size)
    assert torch.allclose(solved, expected, rtol=tolerance, atol=tolerance * float(weights.norm()))
