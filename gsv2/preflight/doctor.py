"""Doctor: preflight of one rank, which also looks at libraries that do not load; `gsv2 doctor`."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import psutil

from gsv2.libraries import RECORDED, loaded_version, unloadable
from gsv2.preflight.report import Finding, attempt, check_room


def diagnose(config_path: Path | None, overrides: Sequence[str]) -> list[Finding]:
    """Check the machine and, if given, the config of a run.

    Nothing is raised for what is wrong; it becomes a failed finding. A run cannot be checked where
    its libraries do not load.
    """
    findings = [*_installation()]
    if unloadable() is not None:
        return findings
    from gsv2.preflight.run_checks import check_one_rank  # loads what may be broken

    return [*findings, *check_one_rank(config_path, overrides)]


def _installation() -> Iterator[Finding]:
    python_ok = sys.version_info >= (3, 11)
    yield Finding("python", "ok" if python_ok else "fail", platform.python_version())
    for package in RECORDED:
        yield attempt(package, partial(loaded_version, package))
    world = {key: os.environ[key] for key in ("RANK", "WORLD_SIZE") if key in os.environ}
    yield Finding("ranks", "ok", str(world) if world else "one process")
    yield check_room("memory", psutil.virtual_memory().available, "")
