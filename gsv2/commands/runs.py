"""`gsv2 runs`: what every run of a folder is at, from the ends of its files.

Reads the tail of `metrics.jsonl` only, so that hundreds of long runs take a second; needs no torch.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from rich import box
from rich.table import Table
from rich.text import Text

from gsv2.commands.terminal import print_json, print_table
from gsv2.folder_lock import is_alive
from gsv2.training.run_folder.status import read_status

METRICS = "metrics.jsonl"
_CONFIG = "config.yaml"
_TAIL_BYTES = (1 << 16, 1 << 19)
"""Bytes that are read from the end of `metrics.jsonl`: more if there is no validation in less."""
_SILENT_SEC = 900.0
"""A run on another machine that wrote nothing for so long, and for `_SILENT_RECORDS`, is silent."""
_SILENT_RECORDS = 5
_MOST_TERMS = 2
"""Terms of a validation without a loss that the table shows."""
_STYLES = {"running": "green", "finished": "dim", "failed": "red", "killed": "red"}


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """One run, from its last figures."""

    path: str
    """Run folder."""
    stage: str
    """Name of the stage; empty if it is unknown."""
    state: str
    """`running`, `finished`, `stopped` (told to), `failed`, `killed` (gone without a word),
    `silent` (on another machine, and not heard of), or `unreadable` (damaged, or none of ours)."""
    reason: str
    """Why it stopped or failed, or what cannot be read."""
    step: int
    """Optimizer steps that are done."""
    max_steps: int
    """Optimizer steps of the whole run; 0 = it ends by time."""
    checkpoint_step: int | None
    """Step of the newest checkpoint."""
    hours: float
    """Wall time over all launches."""
    steps_per_sec: float
    """Optimizer steps a second, of the last record."""
    age_sec: float
    """Time since the last record."""
    losses: Mapping[str, float] = field(default_factory=dict)
    """Trainable -> its loss."""
    validation: Mapping[str, float] = field(default_factory=dict)
    """`TRAINABLE/TERM` -> value of the last validation."""
    audio_hours: float = 0.0
    """Audio trained on, all languages together."""


def show_runs(folder: Path, *, as_json: bool) -> None:
    """Print all runs in a folder, as a table or as JSON, one object a run."""
    found = [summarise_run(path) for path in find_runs(folder)]
    if as_json:
        print_json([asdict(run) for run in found])
    else:
        print_table(runs_table(found))


def find_runs(folder: Path) -> Iterator[Path]:
    """Yield the run folders in a folder, at any depth, by name.

    Raises:
        ValueError: there is no such folder.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; name a folder of runs, or a run")
    for path, folders, files in os.walk(folder):
        if METRICS in files or {_CONFIG, "environment.json"} <= set(files):
            folders.clear()  # what is in a run is no run
            yield Path(path)
        folders.sort()


def summarise_run(run: Path, now: float | None = None) -> RunSummary:
    """Return what a run is at; one that cannot be read hides none of the others.

    Args:
        run: run folder.
        now: seconds since the epoch; None = this moment.
    """
    now = time.time() if now is None else now
    try:
        status = read_status(run)
        record, validated = _read_tail(run / METRICS)
        config = {} if status else _read_config(run)
    except (ValueError, OSError, yaml.YAMLError) as error:
        found = {"state": "unreadable", "reason": " ".join(str(error).split())}
        return _summary(run, found, {}, {}, now)
    return _summary(run, {**config, **status}, record, validated, now)


def _summary(
    run: Path,
    about: Mapping[str, Any],
    record: Mapping[str, Any],
    validated: Mapping[str, Any],
    now: float,
) -> RunSummary:
    """Bring together what was read; `about` is the status, or what the config has of it."""
    metrics, step, max_steps = run / METRICS, record.get("step", 0), about.get("max_steps") or 0
    changed = metrics.stat().st_mtime if metrics.exists() else about.get("written", 0.0)
    age_sec = max(now - changed, 0.0)
    return RunSummary(
        path=str(run),
        stage=about.get("stage", ""),
        state=_state(about, step, max_steps, age_sec, record),
        reason=about.get("reason", ""),
        step=step,
        max_steps=max_steps,
        checkpoint_step=_newest_checkpoint(run),
        hours=(record.get("time") or 0.0) / 3600,
        steps_per_sec=record.get("train/steps_per_sec") or 0.0,
        age_sec=age_sec,
        losses=_pick(record, "", "/loss"),
        validation=_pick(validated, "validation/", ""),
        audio_hours=sum(_pick(record, "data/hours/", "").values()),
    )


def runs_table(runs: Sequence[RunSummary]) -> Table:
    """Return the table of runs for a terminal."""
    table = Table(box=box.SIMPLE)
    table.add_column("run", overflow="fold")
    for name in ("state", "step", "saved", "loss", "validation", "hours", "steps/s", "age"):
        table.add_column(name)
    for run in runs:
        style = _STYLES.get(run.state, "")
        state = Text(run.state, style)
        if run.reason:
            state.append(f"\n{run.reason}", style="dim")
        table.add_row(
            run.path,
            state,
            f"{run.step}/{run.max_steps}" if run.max_steps else str(run.step),
            "-" if run.checkpoint_step is None else str(run.checkpoint_step),
            _lines(run.losses),
            _lines(_chief(run.validation)),
            f"{run.hours:.2f}",
            f"{run.steps_per_sec:.3g}",
            str(timedelta(seconds=round(run.age_sec))),
        )
    return table


def _state(
    status: Mapping[str, Any], step: int, max_steps: int, age_sec: float, record: Mapping[str, Any]
) -> str:
    if "state" not in status:  # of a version that wrote none
        return "finished" if max_steps and step >= max_steps else "stopped"
    if status["state"] != "running":
        return status["state"]
    alive = is_alive(status)
    if alive is not None:
        return "running" if alive else "killed"
    steps_per_sec = record.get("train/steps_per_sec") or 0.0
    every_steps = status.get("log_every_steps", 1)
    records_sec = _SILENT_RECORDS * every_steps / steps_per_sec if steps_per_sec else 0.0
    return "silent" if age_sec > max(_SILENT_SEC, records_sec) else "running"


def _read_tail(metrics: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the last whole record and the last with a validation; {} for what is not there."""
    last: dict[str, Any] = {}
    if not metrics.exists():
        return last, {}
    for size in _TAIL_BYTES:
        with metrics.open("rb") as stream:
            start = max(stream.seek(0, os.SEEK_END) - size, 0)
            stream.seek(start)
            lines = stream.read().splitlines(keepends=True)
        whole = [line for line in lines[bool(start) :] if line.endswith(b"\n")]
        last = _parse_record(whole[-1]) if whole else {}
        validated = next((line for line in reversed(whole) if b'"validation/' in line), None)
        if validated is not None:
            return last, _parse_record(validated)
        if not start:
            break
    return last, {}


def _parse_record(line: bytes) -> dict[str, Any]:
    """Return the numbers of a record; raises ValueError if gsv2 wrote no such line."""
    try:
        record = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or not isinstance(record.get("step"), int):
        raise ValueError(f"{METRICS} has a line that is no record of a run")
    return {key: value for key, value in record.items() if isinstance(value, int | float)}


def _read_config(run: Path) -> dict[str, Any]:
    """Return what a status would say of the run, as far as its config goes."""
    try:
        config = yaml.safe_load((run / _CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    match config:
        case {"stage": str(stage), "trainer": {"max_steps": int(max_steps)}}:
            return {"stage": stage, "max_steps": max_steps}
    return {}


def _newest_checkpoint(run: Path) -> int | None:
    steps = (path.name.removeprefix("step_") for path in run.glob("checkpoints/step_*"))
    return max((int(step) for step in steps if step.isdigit()), default=None)


def _pick(record: Mapping[str, Any], prefix: str, suffix: str) -> dict[str, float]:
    """Return the numbers whose keys have a prefix and a suffix, without them."""
    return {
        key.removeprefix(prefix).removesuffix(suffix): value
        for key, value in record.items()
        if key.startswith(prefix)
        and key.endswith(suffix)
        and isinstance(value, int | float)
        and (prefix or not key.startswith("validation/"))
    }


def _chief(validation: Mapping[str, float]) -> dict[str, float]:
    """Return the losses of a validation, or what it has instead."""
    losses = {name: value for name, value in validation.items() if name.endswith("/loss")}
    return losses or dict(islice(validation.items(), _MOST_TERMS))


def _lines(values: Mapping[str, float]) -> str:
    return "\n".join(f"{name} {value:.4g}" for name, value in values.items())
