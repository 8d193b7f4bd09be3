"""Schedules of a run: how much of it is done, by steps or by time, and learning rates by that.

Whatever changes in the course of a run asks here: learning rates, weights that are warmed up,
the last step. A run by time does not know how many steps it will have; `total_steps` is then the
number that it comes to at its speed so far, so that schedules by step follow the time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from gsv2.training.optim import OptimConfig

_STEPS_TO_THE_END = 1.5
"""Steps between a time that is told and the end of the next step: the last one, if it says so."""
_MOST_ENDING = 0.5
"""Share of the time that the last validation and checkpoint may ask for at most."""


@dataclass(kw_only=True)
class RunProgress:
    """How far a run has come.

    The clock is rank 0's, as it told all ranks along with the targets of a step (see
    `gsv2.training.loop`): it is late by a step at most.
    """

    max_steps: int = 0
    """Optimizer steps of the whole run; 0 = as many as there is time for."""
    max_sec: float = 0.0
    """Wall time of the whole run, over all its launches; 0 = as long as the steps take."""
    step: int = 0
    """Optimizer steps done."""
    elapsed_sec: float = 0.0
    """Wall time so far."""
    ending_sec: float = 0.0
    """Time that is kept for the last steps, the last validation and the last checkpoint."""
    is_last: bool = False
    """Whether the step that was begun last is the last one of the run."""

    def __post_init__(self) -> None:
        """Tell whether a run that stands here has more steps."""
        self.is_last = self._ends_at(self.step)

    @property
    def total_steps(self) -> float:
        """Steps of the whole run, as far as anybody can tell; infinity at the start of one by time.

        Whole, and always the same, without `max_sec`.
        """
        limit = self.max_steps or math.inf
        if not self._time_share:
            return limit
        return min(limit, max(self.step, 1) / self._time_share)

    @property
    def share(self) -> float:
        """Share of the run that is done, 0..1."""
        by_step = self.step / self.max_steps if self.max_steps else 0.0
        return min(1.0, max(by_step, self._time_share))

    def begin_step(self, elapsed_sec: float, ending_sec: float, step_sec: float) -> None:
        """Begin a step, and decide whether it is the last one.

        Args:
            elapsed_sec: wall time of the run when rank 0 began to read for this step.
            ending_sec: time that the last validation and checkpoint will take.
            step_sec: time of a step.
        """
        self.elapsed_sec = elapsed_sec
        self.ending_sec = ending_sec + _STEPS_TO_THE_END * step_sec
        self.is_last = self._ends_at(self.step + 1)

    @property
    def _time_share(self) -> float:
        if not self.max_sec:
            return 0.0
        kept = min(self.ending_sec, _MOST_ENDING * self.max_sec)
        return min(1.0, self.elapsed_sec / (self.max_sec - kept))

    def _ends_at(self, step: int) -> bool:
        return bool(self.max_steps and step >= self.max_steps) or self._time_share >= 1.0


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
