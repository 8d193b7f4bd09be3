"""Curves of a training run, from its `metrics.jsonl`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

VALIDATION = "validation/"
"""Prefix of the keys that were measured on held-out clips."""


class Curve(NamedTuple):
    """A number over the steps of a run."""

    steps: list[int]
    values: list[float]


class TermCurves(NamedTuple):
    """A term with its counterpart on held-out clips; either may be None."""

    term: str
    train: Curve | None
    validation: Curve | None


def read_curves(metrics: Path) -> dict[str, Curve]:
    """Read every numeric key of a `metrics.jsonl`.

    A step that was logged twice (by a run that died and was resumed) counts with its last value.

    Returns:
        Key -> curve, in order of first appearance; steps ascend.

    Raises:
        ValueError: a line is no JSON object with a `step`.
    """
    points: dict[str, dict[int, float]] = {}
    for record in _records(metrics):
        for key, value in record.items():
            if "/" in key and isinstance(value, int | float) and not isinstance(value, bool):
                points.setdefault(key, {})[record["step"]] = float(value)
    curves = {}
    for key, by_step in points.items():
        steps = sorted(by_step)
        curves[key] = Curve(steps, [by_step[step] for step in steps])
    return curves


def pair_curves(curves: Mapping[str, Curve]) -> list[TermCurves]:
    """Pair each term with its counterpart on held-out clips, in order of first appearance."""
    terms = dict.fromkeys(key.removeprefix(VALIDATION) for key in curves)
    return [TermCurves(term, curves.get(term), curves.get(VALIDATION + term)) for term in terms]


def _records(metrics: Path) -> Iterator[Mapping[str, Any]]:
    with metrics.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
                record["step"]
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise ValueError(f"{metrics}:{number} is no JSON object with a step") from error
            yield record
