"""Optimizer and schedule of one trainable."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from gsv2.training.progress import RunProgress

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


class Schedule:
    """Share of the peak learning rate by the number of steps done, in the course of a run."""

    def __init__(self, config: OptimConfig, progress: RunProgress) -> None:
        self._config = config
        self.progress = progress

    def __call__(self, done: int) -> float:
        """Return the share after `done` steps."""
        return lr_fraction(self._config, done, self.progress.total_steps)


def make_scheduler(optimizer: Optimizer, config: OptimConfig, max_steps: int) -> LambdaLR:
    """Return the schedule by optimizer step: step `s` of 1..max_steps has its own rate.

    Args:
        max_steps: optimizer steps of the run; 0 = unknown, it is one by time.

    Raises:
        ValueError: see `check_schedule`.
    """
    check_schedule(config, max_steps)
    return LambdaLR(optimizer, Schedule(config, RunProgress(max_steps=max_steps)))


def follow_progress(scheduler: LambdaLR, progress: RunProgress) -> None:
    """Let a schedule follow a run, which may be one by time."""
    for schedule in scheduler.lr_lambdas:
        assert isinstance(schedule, Schedule), "schedules come from `make_scheduler`"
        schedule.progress = progress


def check_schedule(config: OptimConfig, max_steps: int) -> None:
    """Check that a schedule fits into a run; one of unknown length (0) has room for any.

    Raises:
        ValueError: warmup and decay need more steps than there are.
    """
    if config.decay_steps and 0 < max_steps < config.warmup_steps + config.decay_steps:
        raise ValueError(
            f"warmup_steps + decay_steps must be at most trainer.max_steps ({max_steps}), "
            f"but are {config.warmup_steps} + {config.decay_steps}"
        )


def lr_fraction(config: OptimConfig, done: int, total_steps: float) -> float:
    """Return the share of the peak learning rate after `done` of `total_steps` steps."""
    if done < config.warmup_steps:
        return (done + 1) / (config.warmup_steps + 1)
    span = max(1, total_steps - 1 - config.warmup_steps)
    progress = min(1.0, (done - config.warmup_steps) / span)
    match config.schedule:
        case "constant":
            return 1.0
        case "cosine":
            rest = 0.5 * (1 + math.cos(math.pi * progress))
            return config.final_lr_fraction + (1 - config.final_lr_fraction) * rest
        case "exponential":
            return config.final_lr_fraction**progress
        case "wsd":
            decayed = done - (total_steps - 1 - config.decay_steps)
            fallen = math.sqrt(min(1.0, max(0.0, decayed / config.decay_steps)))
            return 1 - (1 - config.final_lr_fraction) * fallen


def seek_schedule(scheduler: LambdaLR, done: int) -> None:
    """Put a schedule where it stands after `done` steps.

    The peak and the shape come from the scheduler itself, so that a run resumed with another
    learning rate uses it.
    """
    rates = [
        base * fraction(done)
        for base, fraction in zip(scheduler.base_lrs, scheduler.lr_lambdas, strict=True)
    ]
    place = {"last_epoch": done, "_step_count": done + 1, "_last_lr": rates}
    scheduler.load_state_dict({**scheduler.state_dict(), **place})
    for group, rate in zip(scheduler.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


def _is_matrix(parameter: Tensor) -> bool:
    """Tell matrices and kernels from vectors, however many axes of size 1 these have."""
    return sum(size > 1 for size in parameter.shape) >= 2
