"""Optimizer and schedule of one trainable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """AdamW and its schedule, one entry of the `optim` section (trainable name -> entry)."""

    lr: float = 1e-4
    """Peak learning rate."""
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 0.01
    """Applied to matrices only: not to norms, biases and embeddings."""
    schedule: Literal["constant", "cosine", "exponential"] = "cosine"
    warmup_steps: int = 0
    final_lr_fraction: float = 0.1
    """Of the peak, at the last step: the end of cosine and exponential alike."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm."""


def make_optimizer(module: nn.Module, config: OptimConfig) -> Optimizer:
    """Return AdamW over the parameters that train."""
    raise NotImplementedError


def make_scheduler(optimizer: Optimizer, config: OptimConfig, max_steps: int) -> LRScheduler:
    """Return the schedule by optimizer step."""
    raise NotImplementedError
