"""Optimizer of one trainable, AdamW, and the config of its schedule."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

FUSED_DEVICES = ("cpu", "cuda", "mps", "xpu")
"""Where torch has a fused AdamW."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """AdamW and its schedule, one entry of the `optim` section (trainable name -> entry)."""

    lr: float = 1e-4
    """Peak learning rate."""
    betas: tuple[float, float] = (0.9, 0.95)
    """Decay of AdamW's averages of the gradient and of its square."""
    eps: float = 1e-8
    """Term that keeps AdamW's divisor above 0."""
    weight_decay: float = 0.01
    """Applied to matrices only: not to norms, biases and embeddings. Of a weight-normed layer the
    direction decays, which bounds its length, and the gain does not."""
    schedule: Literal["constant", "cosine", "wsd", "exponential"] = "cosine"
    """`wsd` is warmup, stable, decay: the peak until the last `decay_steps` steps."""
    warmup_steps: int = 0
    """First steps, in which the rate rises to its peak."""
    decay_steps: int = 0
    """Last steps of `wsd`, in which the rate falls as 1 - sqrt (arXiv 2405.18392)."""
    final_lr_fraction: float = 0.1
    """Share of the peak at the last step: the end of every schedule that falls."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm."""
    ema_decay: float = 0.0
    """Decay of the moving average of the weights, a step (see `gsv2.training.ema`); 0 = none."""

    def __post_init__(self) -> None:
        """Check the values that no type can; the config knows of which entry they are."""
        for name in ("lr", "eps", "max_grad_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, but is {getattr(self, name)}")
        if math.isinf(self.lr):
            raise ValueError("lr must be a finite number, but is inf")
        for name in ("weight_decay", "warmup_steps"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, but is {getattr(self, name)}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must lie in [0, 1), but are {[*self.betas]}")
        if not 0 < self.final_lr_fraction <= 1:
            raise ValueError(
                f"final_lr_fraction must lie in (0, 1], but is {self.final_lr_fraction}"
            )
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay must lie in [0, 1), but is {self.ema_decay}")
        if self.decay_steps < 0 or (self.decay_steps > 0) != (self.schedule == "wsd"):
            raise ValueError(
                "decay_steps must be above 0 for schedule=wsd and 0 for the others, "
                f"but is {self.decay_steps} for {self.schedule}"
            )


def make_optimizer(module: nn.Module, config: OptimConfig) -> Optimizer:
    """Return AdamW (arXiv 1711.05101), fused where torch can, over the parameters that train.

    Call it when `module` is on its device.
    """
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    embeddings = {id(m.weight) for m in module.modules() if isinstance(m, nn.Embedding)}
    for parameter in module.parameters():
        if parameter.requires_grad:
            is_spared = id(parameter) in embeddings or not _is_matrix(parameter)
            (spared if is_spared else decayed).append(parameter)
    devices = {parameter.device.type for parameter in (*decayed, *spared)}
    is_fused = devices <= set(FUSED_DEVICES)
    if not is_fused:
        logger.warning("no fused AdamW on %s: the optimizer is slower", ", ".join(sorted(devices)))
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    return AdamW(
        [group for group in groups if group["params"]],
        lr=config.lr,
        betas=config.betas,
        eps=config.eps,
        fused=is_fused,
    )


def _is_matrix(parameter: Tensor) -> bool:
    """Tell matrices and kernels from vectors, however many axes of size 1 these have."""
    return sum(size > 1 for size in parameter.shape) >= 2
