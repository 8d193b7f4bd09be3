"""`gsv2 doctor`: what would stop a run, found before the run."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import psutil

from gsv2.check import Check, attempt, free_room
from gsv2.libraries import loaded_version, unloadable

PACKAGES = (
    "torch", "torchaudio", "accelerate", "deepspeed", "webdataset", "transformers",
    "vector_quantize_pytorch", "wandb", "omegaconf", "soundfile", "soxr", "pyarrow",
)  # fmt: skip


def examine(config_path: Path | None, overrides: Sequence[str]) -> list[Check]:
    """Check the machine and, if given, the config of a run.

    Nothing is raised for what is wrong; it becomes a failed check. A run cannot be checked where
    its libraries do not load.
    """
    checks = [*_machine()]
    if unloadable() is not None:
        return checks
    from gsv2.preflight.run_checks import (  # loads what may be broken
        check_devices,
        check_disk,
        check_run,
    )

    checks.append(check_devices())
    if config_path is None:
        return [*checks, check_disk()]
    return [*checks, *check_run(config_path, overrides)]


def _machine() -> Iterator[Check]:
    python_ok = sys.version_info >= (3, 11)
    yield Check("python", "ok" if python_ok else "fail", platform.python_version())
    for package in PACKAGES:
        yield attempt(package, partial(loaded_version, package))
    world = {key: os.environ[key] for key in ("RANK", "WORLD_SIZE") if key in os.environ}
    yield Check("ranks", "ok", str(world) if world else "one process")
    yield free_room("memory", float(psutil.virtual_memory().available))
