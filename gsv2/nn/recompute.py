"""Activation checkpointing (arXiv 1604.06174): memory for time.

A block marked here keeps its inputs only and runs again in the backward pass, with the same random
numbers and under the same autocast: gradients are the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

_MARK = "recomputes"


def mark_recomputed(blocks: Iterable[nn.Module]) -> None:
    """Let blocks, which their owners call through `run_block`, run again in backward passes."""
    for block in blocks:
        setattr(block, _MARK, True)


def run_block(block: nn.Module, *args: Any) -> Any:
    """Return `block(*args)`; if it is marked and trains, its activations are not kept."""
    if block.training and torch.is_grad_enabled() and getattr(block, _MARK, False):
        return checkpoint(block, *args, use_reentrant=False)
    return block(*args)
