"""A model with activation checkpointing against the same without."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Loss = Callable[[], Tensor]


def assert_recomputing_changes_nothing_but_memory(model: nn.Module, loss: Loss) -> None:
    """Compare gradients, which must be equal to the last bit, under autocast too.

    Args:
        model: with a method `recompute_activations`.
        loss: runs the model, its dropout and noise from a fixed seed.
    """
    model.train()
    plain, kept, mixed = _gradients(model, loss), _num_kept(loss), _mixed(model, loss)
    model.recompute_activations()
    torch.testing.assert_close(_gradients(model, loss), plain, rtol=0, atol=0)
    torch.testing.assert_close(_mixed(model, loss), mixed, rtol=0, atol=0)
    assert _num_kept(loss) < 0.7 * kept


def _mixed(model: nn.Module, loss: Loss) -> dict[str, Tensor]:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return _gradients(model, loss)


def _gradients(model: nn.Module, loss: Loss) -> dict[str, Tensor]:
    model.zero_grad()
    value = loss()
    torch.manual_seed(9)  # what happens between the passes must not matter
    value.backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def _num_kept(loss: Loss) -> int:
    """Return how many values the graph of a loss holds, parameters counted as often as used."""
    kept: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: kept.append(tensor.numel()) or tensor, lambda tensor: tensor
    ):
        loss()
    return sum(kept)
