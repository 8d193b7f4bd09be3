"""The run folder."""

from __future__ import annotations

import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from gsv2 import __version__
from gsv2.config import save_config

PACKAGES = ("torch", "torchaudio", "accelerate", "transformers", "vector-quantize-pytorch")
"""Packages whose versions change results."""


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

    def create(self, config: Any, *, world: int, device: torch.device) -> None:
        """Make the folder and write what the run is and where it runs."""
        self.path.mkdir(parents=True, exist_ok=True)
        save_config(config, self.path / "config.yaml")
        record = json.dumps(describe_environment(world, device), indent=2)
        (self.path / "environment.json").write_text(record + "\n", encoding="utf-8")

    def note(self, key: str, value: Any) -> None:
        """Write a key into `environment.json`."""
        file = self.path / "environment.json"
        record = {**json.loads(file.read_text(encoding="utf-8")), key: value}
        file.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def describe_environment(world: int, device: torch.device) -> dict[str, Any]:
    """Return what the figures of a run depend on beside its config."""
    has_gpu = device.type == "cuda"
    return {
        "gsv2": __version__,
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "ranks": world,
        "device": torch.cuda.get_device_name(device) if has_gpu else "cpu",
        "cuda": torch.version.cuda if has_gpu else None,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
