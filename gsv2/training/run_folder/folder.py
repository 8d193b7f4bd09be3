"""Run folder: where its files lie, and what the run is and runs in."""

from __future__ import annotations

import json
import logging
import os
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gsv2.config import save_config
from gsv2.files import write_atomically
from gsv2.libraries import recorded_versions
from gsv2.version import __version__

logger = logging.getLogger(__name__)


class RunFolder:
    """`RUN/{config.yaml, environment.json, status.json, *.jsonl, checkpoints/, samples/}`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def metrics(self) -> Path:
        """One object per logged step."""
        return self.path / "metrics.jsonl"

    @property
    def quarantine(self) -> Path:
        """One object per clip that could not be read."""
        return self.path / "quarantine.jsonl"

    @property
    def samples(self) -> Path:
        """Folders of sounds and pictures, one per validation."""
        return self.path / "samples"

    def create(self, config: Any, *, world: int, device: torch.device) -> None:
        """Make the folder and write what the run is and where it runs.

        What earlier launches ran in stays in `environment.json`, under `earlier`.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        save_config(config, self.path / "config.yaml")
        earlier = self._earlier_environments()
        self._write_environment({**describe_environment(world, device), "earlier": earlier})

    def note(self, key: str, value: Any) -> None:
        """Write a key into `environment.json`."""
        self._write_environment({**self._read_environment(), key: value})

    def last_threads(self) -> int | None:
        """Return by how many threads the last launch computed; None = no process on a CPU did."""
        try:
            last = self._read_environment()
        except (OSError, ValueError, RecursionError):
            return None
        threads = last.get("threads")
        is_alike = last.get("device") == "cpu" and last.get("ranks") == 1
        return threads if is_alike and isinstance(threads, int) and threads > 0 else None

    def _earlier_environments(self) -> list[dict[str, Any]]:
        """Return the environments of all launches before this one; of equal ones in a row, one."""
        try:
            last = self._read_environment()
        except FileNotFoundError:
            return []
        except (ValueError, RecursionError) as error:
            logger.warning("%s/environment.json is damaged, and begun anew: %s", self.path, error)
            return []
        earlier = last.pop("earlier", [])
        return earlier if earlier[-1:] == [last] else [*earlier, last]

    def _read_environment(self) -> dict[str, Any]:
        record = json.loads((self.path / "environment.json").read_text(encoding="utf-8"))
        if not isinstance(record, dict) or not isinstance(record.get("earlier", []), list):
            raise ValueError("it is no object with a list of earlier ones")
        return record

    def _write_environment(self, record: Mapping[str, Any]) -> None:
        text = json.dumps(record, indent=2) + "\n"
        write_atomically(self.path / "environment.json", text)


def free_bytes(folder: Path) -> int:
    """Return the room where a folder is, or would be made."""
    where = folder.absolute()
    there = next(path for path in (where, *where.parents) if path.exists())
    return shutil.disk_usage(there).free


def describe_environment(world: int, device: torch.device) -> dict[str, Any]:
    """Return what the figures of a run depend on beside its config."""
    has_gpu = device.type == "cuda"
    return {
        "gsv2": __version__,
        "python": platform.python_version(),
        "packages": recorded_versions(),
        "platform": platform.platform(),
        "ranks": world,
        "device": torch.cuda.get_device_name(device) if has_gpu else "cpu",
        "cuda": torch.version.cuda if has_gpu else None,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


def read_environment(run: Path) -> dict[str, Any]:
    """Return what the last launch of a run ran in; nothing where it did not write it down.

    Raises:
        ValueError: the file is damaged; names it.
    """
    path = run / "environment.json"
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    return values if isinstance(values, dict) else {}
