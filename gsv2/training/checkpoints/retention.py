"""Retention: which checkpoints stay."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gsv2.training.checkpoints.config import CheckpointConfig

_VALIDATION = "validation/"

logger = logging.getLogger(__name__)


def steps_to_keep(
    steps: Iterable[int], newest: int, values: Mapping[int, float], config: CheckpointConfig
) -> set[int]:
    """Return the steps whose checkpoints stay.

    Checkpoints of steps after `newest` go: they belong to a past that the run has left by
    resuming before them.

    Args:
        steps: steps of all checkpoints.
        newest: step of the one that was just made.
        values: step -> value of the metric `checkpoint.best`, where it was measured.
    """
    present = sorted(step for step in steps if step <= newest)
    kept = set(present[-config.keep_last :])
    if config.keep_every_steps:
        kept |= {step for step in present if step % config.keep_every_steps == 0}
    rated = [step for step in present if math.isfinite(values.get(step, math.nan))]
    if rated:
        kept.add(min(rated, key=lambda step: (values[step], step)))
    return kept


def value_of_record(
    best: str | None, step: int, record: Mapping[str, Any] | None
) -> tuple[dict[str, float], str | None]:
    """Return the figures of a checkpoint's validation, and why it never will be judged by `best`.

    Args:
        best: `checkpoint.best`.
        record: figures of this step, if there are any.
    """
    record = record or {}
    values = {
        name: float(value)
        for name, value in record.items()
        if (name == best or name.startswith(_VALIDATION)) and isinstance(value, int | float)
    }
    if best is None or best in values or not record:
        return values, None
    if best.startswith(_VALIDATION) and not values:
        return values, None
    names = ", ".join(sorted(record))
    return values, f"checkpoint.best is {best!r}, but the record of step {step} has {names}"


class Retention:
    """Removes checkpoints that need not stay from one place, a run folder or a target."""

    def __init__(self, config: CheckpointConfig) -> None:
        self._config = config
        self._values: dict[int, float] = {}

    def prune(
        self,
        newest: int,
        list_steps: Callable[[], Sequence[int]],
        read: Callable[[int], bytes],
        remove: Callable[[int], None],
    ) -> None:
        """Remove what need not stay; what cannot be removed stays, with a warning.

        Args:
            newest: step of the checkpoint that was just made there.
            list_steps: returns the steps of all checkpoints there.
            read: returns the `state.json` of a step's checkpoint.
            remove: takes a step's checkpoint away.
        """
        try:
            steps = list_steps()
        except OSError as error:
            logger.warning("CHECKPOINTS NOT PRUNED after step %d: %s", newest, error)
            return
        unread = self._read_values(newest, steps, read)
        for step in set(steps) - steps_to_keep(steps, newest, self._values, self._config) - unread:
            try:
                remove(step)
            except OSError as error:
                logger.warning("OLD CHECKPOINT NOT REMOVED, of step %d: %s", step, error)

    def _read_values(
        self, newest: int, steps: Sequence[int], read: Callable[[int], bytes]
    ) -> set[int]:
        """Read what checkpoints are judged by; return steps of which that is not known for now."""
        best = self._config.best
        if best is None:
            return set()
        unread = set()
        self._values.pop(newest, None)  # of an earlier checkpoint of this step
        for step in steps:
            if step > newest or step in self._values:
                continue
            try:
                self._values[step] = _value(read(step), best)
            except FileNotFoundError:  # a damaged one
                self._values[step] = math.nan
            except OSError as error:
                logger.warning("no %s of the checkpoint of step %d: %s", best, step, error)
                unread.add(step)
        return unread


def _value(state: bytes, name: str) -> float:
    """Return a figure that a checkpoint was judged by; NaN if it was not, or is damaged."""
    try:
        return float(json.loads(state)["values"][name])
    except (ValueError, KeyError, TypeError, RecursionError):
        return math.nan
