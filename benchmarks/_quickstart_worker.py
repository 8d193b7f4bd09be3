"""A training run that `benchmarks.turns` starts in any build of gsv2, and lets go on by turns.

    python -P _quickstart_worker.py CONFIG UPDATES key=value ...

For every line that it reads it takes UPDATES updates, and prints what they took and were trained
on: `TURN {"cpu_sec": ..., "audio_sec": ...}`. It imports nothing of a build but `gsv2.train`, and
counts the steps of an optimizer by torch's hook, so that it runs in builds of other names.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from gsv2.train import main as train

_LATE_UPDATES = 3
"""Updates after the last of a turn: by then the row of that one is written."""


class Turns:
    """Turns of a run, which waits before each of them, inside of an update."""

    def __init__(self, metrics: Path, updates: int) -> None:
        self._metrics = metrics
        self._updates = updates
        self._first: torch.optim.Optimizer | None = None
        self._seen = 0
        self._done = 0
        self._audio_sec = 0.0
        self._cpu_sec = 0.0
        self._wait()

    def count(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        """Count an update at the step of its first optimizer; a GAN has two."""
        self._first = self._first or optimizer
        if optimizer is not self._first:
            return
        self._seen += 1
        if self._seen == self._done + self._updates + _LATE_UPDATES:
            self._done += self._updates
            self._tell()
            self._wait()

    def _tell(self) -> None:
        cpu_sec, audio_sec = time.process_time(), audio_at(self._metrics, self._done)
        took = {"cpu_sec": cpu_sec - self._cpu_sec, "audio_sec": audio_sec - self._audio_sec}
        self._audio_sec = audio_sec
        sys.stdout.write(f"TURN {json.dumps(took)}\n")
        sys.stdout.flush()

    def _wait(self) -> None:
        if not sys.stdin.readline():
            os._exit(0)
        self._cpu_sec = time.process_time()


def audio_at(metrics: Path, step: int) -> float:
    """Return the seconds of audio that a run was trained on up to a step."""
    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    row = next(row for row in reversed(rows) if row["step"] == step)
    return 3600 * sum(value for key, value in row.items() if key.startswith("data/hours/"))


def main() -> None:
    """Train until nobody asks for another turn."""
    config, updates, overrides = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    values = dict(override.split("=", 1) for override in overrides)
    folder = Path(json.loads(values["run.dir"])) / json.loads(values["run.name"])
    turns = Turns(folder / "metrics.jsonl", updates)
    register_optimizer_step_post_hook(turns.count)
    train(config, overrides)


if __name__ == "__main__":
    main()
