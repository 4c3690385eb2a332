"""The optimal brain surgeon, column by column: prune and let later weights make up for it.

Frantar & Alistarh 2023, arXiv:2301.00774, algorithm 1. With U the upper Cholesky factor of the
inverse Hessian, row j of U holds what the surgeon needs once columns before j are settled:
``U[j, j] ** 2`` is the j-th diagonal entry of the inverse Hessian of columns j and later, and
``U[j, j:] / U[j, j]`` its first row over that entry.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from pruneflow.errors import TrainingError

Choice = Callable[[int, torch.Tensor], torch.Tensor]
"""From a first column and the saliencies (rows, width) from there on: which of them to prune."""


def inverse_factor(hessian: torch.Tensor, damping: float) -> torch.Tensor:
    """U, upper triangular, with ``U^T U = (H + damping * mean(diag H) * I)^-1``.

    Columns that never saw an input are put at the mean of the others, and not in it: so the
    scale of the inputs does not matter.

    Args:
        hessian: X^T X of the layer's inputs, (columns, columns), in double precision.
        damping: A share of the mean diagonal entry.

    Raises:
        TrainingError: The damped Hessian is singular.
    """
    diagonal = hessian.diagonal()
    live = diagonal > 0
    mean = diagonal[live].mean() if bool(live.any()) else diagonal.new_ones(())
    damped = hessian + torch.diag(damping * mean + mean * ~live)
    factor: torch.Tensor
    factor, singular = torch.linalg.cholesky_ex(damped)
    if not int(singular):
        inverse = torch.cholesky_inverse(factor)
        factor, singular = torch.linalg.cholesky_ex(inverse, upper=True)
    if int(singular):
        raise TrainingError(
            f"the Hessian of {len(hessian)} inputs is singular with damping {damping:g}: raise "
            "the damping, or calibrate on more batches"
        )
    return factor


def sweep(
    matrix: torch.Tensor, factor: torch.Tensor, choose: Choice, width: int, block_size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Go over the columns once, prune what is chosen, and move later weights to make up for it.

    Args:
        matrix: The weights, (rows, columns), of the factor's dtype.
        factor: As ``inverse_factor`` gives it.
        choose: Asked every ``width`` columns. A saliency is ``w^2 / U_jj^2``: what the squared
            error of the outputs grows by.
        width: Columns that are chosen from together.
        block_size: Columns after which later ones are brought up to date, for speed alone; a
            multiple of ``width``.

    Returns:
        The new weights, +0.0 where pruned, and booleans, True there.
    """
    weights = matrix.clone()
    pruned = torch.zeros_like(weights, dtype=torch.bool)
    scale = factor.diagonal()
    for start in range(0, weights.shape[1], block_size):
        block = weights[:, start : start + block_size]  # a view
        stop = start + block.shape[1]
        errors = torch.zeros_like(block)
        for at in range(block.shape[1]):
            column = start + at
            if at % width == 0:
                part = slice(column, min(column + width, stop))
                saliency = (weights[:, part] / scale[part]).square()
                pruned[:, part] = choose(column, saliency)
            errors[:, at] = (block[:, at] / scale[column]).where(pruned[:, column], 0.0)
            block[:, at:] -= torch.outer(errors[:, at], factor[column, column:stop])
        weights[:, stop:] -= errors @ factor[start:stop, stop:]
    return weights.masked_fill_(pruned, 0.0), pruned
