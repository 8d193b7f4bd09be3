"""Check of a checkpoint's `state.json`, before anything is made of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from gsv2.data.plan.window import LanePosition
from gsv2.training.accounting.ledger import ledger_from_plain
from gsv2.training.accounting.state import TrainState
from gsv2.training.precision.loss_scale import LossScale

_COUNTS = ("step", "next_micro_batch", "skipped", "spikes", "samples_seen", "bad_clips")
_MUST = {*_COUNTS, "marks", "ledger", "sequences"}


def check_record(record: Mapping[str, Any]) -> None:
    """Check the content of `state.json`.

    Raises:
        ValueError: names the key, what it must be and what it is.
    """
    _check(record, "schedules", "step counts by name", _is_table_of(_is_count))
    _check(record, "lanes", "a count", _is_count)
    _check(record, "seed", "a whole number", lambda value: type(value) is int)
    _check(record, "run", "an object", lambda value: isinstance(value, dict))
    if record.get("dataset") is not None:
        _check_dataset(record["dataset"])
    run = record["run"]
    unknown = sorted(run.keys() - TrainState.plain_keys().keys())
    if unknown:
        raise ValueError(f"run.{unknown[0]} is no key of this format")
    for key in sorted(_MUST | run.keys()):
        if key in _COUNTS:
            _check(run, key, "a count", _is_count, "run.")
        elif key in _RULES:
            _check(run, key, *_RULES[key], "run.")


def _check_dataset(dataset: Any) -> None:
    if not isinstance(dataset, dict):
        raise ValueError(f"dataset must be an object, but is {dataset!r}")
    _check(dataset, "data", "an object", lambda value: isinstance(value, dict), "dataset.")
    _check(dataset, "members", "a list of names", _is_list_of(_is_text), "dataset.")
    _check(
        dataset, "sources", "a list of objects",
        _is_list_of(lambda value: isinstance(value, dict)), "dataset.",
    )  # fmt: skip


def _check(
    values: Mapping[str, Any], key: str, rule: str, is_right: Callable[[Any], bool], of: str = ""
) -> None:
    if key not in values:
        raise ValueError(f"{of}{key} must be {rule}, but is missing")
    if not is_right(values[key]):
        raise ValueError(f"{of}{key} must be {rule}, but is {repr(values[key])[:80]}")


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_list_of(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(is_right, value))


def _is_table_of(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(is_right, value.values()))


def _makes(build: Callable[[Any], object]) -> Callable[[Any], bool]:
    """Return whether something can be made of a value."""

    def can_build(value: Any) -> bool:
        try:
            build(value)
        except (TypeError, ValueError, KeyError, AttributeError):
            return False
        return True

    return can_build


def _is_pair_of_counts(value: Any) -> bool:
    return isinstance(value, list) and list(map(_is_count, value)) == [True, True]


def _is_position(value: Any) -> bool:
    is_list = isinstance(value, list) and len(value) == 4
    return is_list and all(map(_is_count, value[:3])) and _makes(LanePosition.from_plain)(value)


def _is_scale(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and all(map(_is_number, value.values()))
        and _makes(lambda values: LossScale(**values))(value)
    )


_RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "left_out": ("lists of steps by name", _is_table_of(_is_list_of(_is_count))),
    "history": ("lists of numbers by name", _is_table_of(_is_list_of(_is_number))),
    "loss_scales": ("loss scales by name", _is_table_of(_is_scale)),
    "row": ("an object or null", lambda value: value is None or isinstance(value, dict)),
    "audio_seen": ("counts by language", _is_table_of(_is_count)),
    "time_sec": ("a number", _is_number),
    "ending_sec": ("a number", _is_number),
    "marks": ("a list of positions of lanes", _is_list_of(_is_position)),
    "ledger": ("a list of tallies", lambda v: isinstance(v, list) and _makes(ledger_from_plain)(v)),
    "sequences": ("a list of pairs of counts", _is_list_of(_is_pair_of_counts)),
    "wandb_id": ("a text or null", lambda value: value is None or isinstance(value, str)),
}
