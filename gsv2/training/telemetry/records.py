"""JSON lines of a run: one object a line, each with the step that it belongs to."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def append_record(path: Path, record: Mapping[str, Any]) -> None:
    """Add one object; floats keep full precision, and those that are not finite become null."""
    plain = {key: _finite(value) for key, value in record.items()}
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n")


def read_records(path: Path) -> list[dict[str, Any]]:
    """Return all objects; none if there is no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def truncate_records(path: Path, step: int) -> None:
    """Drop the lines after `step`, and the line that a killed process left half written."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.endswith("\n") or json.loads(line)["step"] > step:
            break
        kept.append(line)
    aside = path.with_name(f".tmp-{path.name}")
    aside.write_text("".join(kept), encoding="utf-8")
    os.replace(aside, path)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
