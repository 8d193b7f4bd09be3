"""Which checkpoints stay."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from gsv2.training.checkpoints.config import CheckpointConfig


def steps_to_keep(
    steps: Iterable[int], newest: int, values: Mapping[int, float], config: CheckpointConfig
) -> set[int]:
    """Return the steps whose checkpoints stay.

    Checkpoints of steps after `newest` go: they belong to a past that the run has left by
    resuming before them.

    Args:
        steps: of all checkpoints.
        newest: step of the one that was just made.
        values: step -> value of the metric `checkpoint.best`, where it was measured.
        config: the `checkpoint` section.
    """
    present = sorted(step for step in steps if step <= newest)
    kept = set(present[-config.keep_last :])
    if config.keep_every_steps:
        kept |= {step for step in present if step % config.keep_every_steps == 0}
    rated = [step for step in present if math.isfinite(values.get(step, math.nan))]
    if rated:
        kept.add(min(rated, key=lambda step: (values[step], step)))
    return kept


class Retention:
    """Removes checkpoints that need not stay, in the run folder and at the target alike.

    Args:
        config: the `checkpoint` section.
    """

    def __init__(self, config: CheckpointConfig) -> None:
        self._config = config
        self._values: dict[int, float] = {}

    def prune(
        self,
        newest: int,
        steps: Sequence[int],
        read: Callable[[int], bytes],
        remove: Callable[[int], None],
    ) -> None:
        """Remove what need not stay of one place.

        Args:
            newest: step of the checkpoint that was just made there.
            steps: of all checkpoints there.
            read: returns the `state.json` of a step's checkpoint.
            remove: takes a step's checkpoint away.
        """
        best = self._config.best
        if best is not None:
            self._values.pop(newest, None)  # of an earlier checkpoint of this step
            for step in steps:
                if step not in self._values:
                    self._values[step] = _value(read(step), best)
        for step in set(steps) - steps_to_keep(steps, newest, self._values, self._config):
            remove(step)


def _value(state: bytes, name: str) -> float:
    """Return a figure that a checkpoint was judged by; NaN if it was not, or is damaged."""
    try:
        return float(json.loads(state)["values"][name])
    except (ValueError, KeyError, TypeError):
        return math.nan
