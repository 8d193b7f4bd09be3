"""Guard against updates that no rank takes: values that are not finite, and spikes.

A spike is a gradient norm or a loss above `spike_factor` times the median of the last values of
its trainable. A median hardly moves with single spikes, unlike a mean; values that were left out
do not enter it, so a run whose level has risen for good stops at its limit, not unseen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from itertools import chain
from statistics import median
from typing import NamedTuple

from gsv2.training.accounting.state import TrainState
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.stage import Trainable

FIRST_STEPS = 10
"""A run that takes no update of a trainable in so many steps from its start will take none."""
WINDOW_UPDATES = 128
"""Updates of a trainable that the median is over."""


class TrainingError(ValueError):
    """A run that cannot go on."""


class Refusal(NamedTuple):
    """Why an update is left out, the same on all ranks."""

    reason: str
    is_spike: bool
    """False: not finite."""


class UpdateGuard:
    """Judges the updates of all trainables, by their own past; on all ranks alike.

    Args:
        factor: times the median that makes a spike; 0 = nothing is one.
        warmup_updates: updates of a trainable before any is judged as a spike.
        history: `"<trainable>/<value>"` -> the last of it, oldest first; kept up to date here,
            and to be saved with the run.
    """

    def __init__(
        self,
        factor: float = 0.0,
        warmup_updates: int = WINDOW_UPDATES,
        history: MutableMapping[str, list[float]] | None = None,
    ) -> None:
        self._factor = factor
        self._warmup_updates = warmup_updates
        self._history = {} if history is None else history

    @property
    def judges_losses(self) -> bool:
        """Whether `judge` wants losses."""
        return self._factor > 0

    def judge(self, name: str, norm: float, loss: float = 0.0) -> Refusal | None:
        """Return why the update of a trainable is left out; None if it is taken.

        Args:
            norm: norm of its gradients before clipping, the same on all ranks; not finite if a
                loss of one of them is not.
            loss: mean over the micro-batches of all ranks, where `judges_losses`.
        """
        if not (math.isfinite(norm) and math.isfinite(loss)):
            return Refusal("not finite", is_spike=False)
        if not self.judges_losses:
            return None
        values = {f"{name}/grad_norm": norm, f"{name}/loss": loss}
        spike = self._find_spike(values)
        if spike is not None:
            return Refusal(spike, is_spike=True)
        for key, value in values.items():
            past = self._history.setdefault(key, [])
            past.append(value)
            del past[:-WINDOW_UPDATES]
        return None

    def _find_spike(self, values: Mapping[str, float]) -> str | None:
        for key, value in values.items():
            past = self._history.get(key, [])
            if len(past) < self._warmup_updates:
                continue
            level = median(past)
            if level > 0 and value > self._factor * level:  # a loss may lie below 0
                return f"{key} is {value:.4g}, its median {level:.4g}"
        return None


@dataclass(frozen=True, kw_only=True)
class LeftOutLimits:
    """How many updates a run may leave out; the fields of the `trainer` section."""

    window_steps: int
    """Last steps that count (`left_out_window_steps`)."""
    max_skipped: int
    """Updates left out as not finite (`max_skipped_steps`)."""
    max_spikes: int
    """Updates left out as spikes."""
    spike_factor: float
    """Times its median that a value must have to be a spike."""


def note_left_out(state: TrainState, skipped: int, spikes: int, window_steps: int) -> None:
    """Count the updates that a step has left out, and forget those that no limit looks back to."""
    state.skipped += skipped
    state.spikes += spikes
    first = state.step - window_steps + 1
    for name, count in (("skipped", skipped), ("spikes", spikes)):
        steps = [*state.left_out.get(name, []), *[state.step] * count]
        state.left_out[name] = [step for step in steps if step >= first]


def check_left_out(state: TrainState, limits: LeftOutLimits) -> None:
    """Check how many updates were left out in the last `trainer.left_out_window_steps`.

    Raises:
        TrainingError: more than `trainer.max_skipped_steps` or `trainer.max_spikes`.
    """
    window = f"in the last {limits.window_steps} steps (trainer.left_out_window_steps)"
    advice = "lower the learning rate, look at the data, or raise that limit"
    skipped, spikes = (len(state.left_out.get(name, [])) for name in ("skipped", "spikes"))
    if skipped > limits.max_skipped:
        raise TrainingError(
            f"step {state.step}: {skipped} updates were left out {window} for a loss or gradient "
            f"that was not finite, more than trainer.max_skipped_steps="
            f"{limits.max_skipped}; {advice}"
        )
    if spikes > limits.max_spikes:
        raise TrainingError(
            f"step {state.step}: {spikes} updates were left out {window} for a loss or gradient "
            f"norm above trainer.spike_factor={limits.spike_factor} times its median, more than "
            f"trainer.max_spikes={limits.max_spikes}; {advice}"
        )


def check_first_steps(
    state: TrainState, left_out: set[str], taken: set[str], *, is_last: bool
) -> None:
    """Check that a run which begins takes updates at all.

    Args:
        state: state of the run after a step that left something out.
        left_out: trainables of which this launch left out an update.
        taken: trainables of which this launch took an update.
        is_last: whether the step is the last one of the run.

    Raises:
        TrainingError: every update of a trainable from the first step on was left out.
    """
    is_always = state.skipped + state.spikes >= state.step
    if (state.step < FIRST_STEPS and not is_last) or not is_always:
        return
    never = sorted(left_out - taken)
    if never or not taken:
        of = f" of {', '.join(never)}" if never else ""
        raise TrainingError(
            f"step {state.step}: every update{of} since the first step was left out (a loss or "
            "gradient that is not finite, or no clip that can be read); nothing was learnt: look "
            "at the data, metrics.jsonl and quarantine.jsonl"
        )


def check_weights(trainables: Mapping[str, Trainable], distributed: Distributed) -> None:
    """Check the weights and buffers that a run is about to save as its last ones. Collective.

    Raises:
        TrainingError: names the first tensor that holds NaN or infinity.
    """
    for found in distributed.gather(_first_not_finite(trainables)):
        if found is not None:
            raise TrainingError(
                f"{found} holds values that are not finite: they are not saved as the result of "
                "this run; look at the data and at quarantine.jsonl"
            )


def _first_not_finite(trainables: Mapping[str, Trainable]) -> str | None:
    for name, trainable in trainables.items():
        module = trainable.module
        for key, tensor in chain(module.named_parameters(), module.named_buffers()):
            if tensor.is_floating_point() and not bool(tensor.detach().isfinite().all()):
                return f"{name}.{key}"
    return None
