"""Optimizer of one trainable, AdamW, and the config of its schedule."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

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
    lr_factors: dict[str, float] = field(default_factory=dict)
    """Module, or single parameter -> factor on its learning rate, such as `backbone: 0.1` where the
    backbone starts from a text LM; of a module and one inside it, the inner one counts."""
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
        for name, factor in self.lr_factors.items():
            if not 0 < factor < math.inf:
                raise ValueError(f"lr_factors.{name} must be above 0, but is {factor}")
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

    Call it when `module` is on its device. The first group has the learning rate of the config,
    unless every parameter has a factor on it.

    Raises:
        ValueError: a factor for a module that is not there, or does not train.
    """
    groups = _parameter_groups(module, config)
    devices = {parameter.device.type for group in groups for parameter in group["params"]}
    is_fused = devices <= set(FUSED_DEVICES)
    if not is_fused:
        logger.warning("no fused AdamW on %s: the optimizer is slower", ", ".join(sorted(devices)))
    return AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps, fused=is_fused)


def _parameter_groups(module: nn.Module, config: OptimConfig) -> list[dict[str, Any]]:
    """Return groups by factor on the learning rate, each with and without weight decay."""
    embeddings = {id(m.weight) for m in module.modules() if isinstance(m, nn.Embedding)}
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    used = set()
    for path, parameter in module.named_parameters():
        if parameter.requires_grad:
            owner = max(_owners(path, config), key=len, default=None)
            used.add(owner)
            factor = 1.0 if owner is None else config.lr_factors[owner]
            is_spared = id(parameter) in embeddings or not _is_matrix(parameter)
            groups.setdefault((factor, is_spared), []).append(parameter)
    for name in config.lr_factors:
        if name not in used:
            raise ValueError(
                f"lr_factors must name modules or parameters of the network that train, but has "
                f"{name!r}; there are {', '.join(n for n, _ in module.named_children())}"
            )
    return [
        {
            "params": groups[factor, is_spared],
            "lr": config.lr * factor,
            "weight_decay": 0.0 if is_spared else config.weight_decay,
        }
        for factor, is_spared in sorted(groups, key=lambda group: (group[0] != 1, group))
    ]


def _owners(path: str, config: OptimConfig) -> Iterator[str]:
    """Yield the modules with a factor that a parameter lies in."""
    return (name for name in config.lr_factors if path == name or path.startswith(f"{name}."))


def _is_matrix(parameter: Tensor) -> bool:
    """Tell matrices and kernels from vectors, however many axes of size 1 these have."""
    return sum(size > 1 for size in parameter.shape) >= 2
