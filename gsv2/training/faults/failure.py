"""Failure record of a run: `RUN/failure/step_00000012-rank0/`.

Every rank writes its own folder without asking the others, who may be gone:

- `failure.json`: step, rank, the error, micro-batches of the step and the keys of their clips;
- `traceback.txt` and `stacks.txt`: of the error, and where every thread stood;
- `metrics.jsonl`: the last records; `gpu_memory.txt` on a GPU.

Launchers end the ranks beside a failed one with SIGTERM, then SIGKILL. One that hangs in native
code cannot write a folder any more; where it stood at SIGTERM is in
`RUN/failure/sigterm-rank0.txt`.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import torch

from gsv2.data.stream.batch import Batch
from gsv2.files import write_atomically

T = TypeVar("T")

NUM_RECORDS = 50
"""Records of metrics.jsonl to keep."""

logger = logging.getLogger(__name__)


class FlightRecorder:
    """Knows what this rank is doing; writes it down if an exception leaves its `with`."""

    def __init__(self, run: Path, rank: int, device: torch.device) -> None:
        self._run = run
        self._rank = rank
        self._device = device
        self.step = 0
        """Step that this rank is at."""
        self.batches: Sequence[Batch] = ()
        """Micro-batches of the step."""
        self.last_beat = time.monotonic()
        """When this rank last came forward, in seconds of the monotonic clock."""

    def __enter__(self) -> Self:
        """Begin."""
        self.beat()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Write down an error; leaving by a signal is none."""
        if isinstance(error, Exception):
            self.write(error)

    def beat(self) -> None:
        """Take note that this rank comes forward."""
        self.last_beat = time.monotonic()

    def note(self, step: int, batches: Sequence[Batch] = ()) -> None:
        """Take note of the step that begins, and of what it reads, if that is known."""
        self.step, self.batches = step, batches
        self.beat()

    def write(self, error: Exception) -> Path | None:
        """Write the folder and log its name; None if the disk does not take it."""
        try:
            folder = self._make_folder()
            self._fill(folder, error)
        except OSError as trouble:
            logger.warning("the failure cannot be written down: %s", trouble)
            return None
        logger.critical(
            "rank %d failed at step %d: %s: %s; details: %s",
            self._rank, self.step, type(error).__name__, error, folder,
        )  # fmt: skip
        return folder

    def _make_folder(self) -> Path:
        """Return a new folder; those of earlier failures stay."""
        stem = f"step_{self.step:08d}-rank{self._rank}"
        for number in count(1):
            name = stem if number == 1 else f"{stem}-{number}"
            folder = _make_in_failure(self._run, name, _make_new)
            if folder is not None:
                return folder
        raise AssertionError("count() has no end")

    def _fill(self, folder: Path, error: Exception) -> None:
        with (folder / "stacks.txt").open("w", encoding="utf-8") as stream:
            faulthandler.dump_traceback(stream, all_threads=True)
        lines = traceback.format_exception(error)
        _write(folder / "traceback.txt", "".join(lines))
        record = {
            "step": self.step,
            "rank": self._rank,
            "time": datetime.now(UTC).isoformat(),
            "error": type(error).__name__,
            "message": str(error),
            "batches": [
                {"micro_batch": batch.micro_batch, "lane": batch.lane, "keys": list(batch.keys)}
                for batch in self.batches
            ],
        }
        text = json.dumps(record, indent=2, ensure_ascii=False)
        _write(folder / "failure.json", text + "\n")
        metrics = self._run / "metrics.jsonl"
        if metrics.exists():
            records = metrics.read_bytes().splitlines(keepends=True)
            (folder / metrics.name).write_bytes(b"".join(records[-NUM_RECORDS:]))
        if self._device.type == "cuda":
            summary = torch.cuda.memory_summary(self._device)
            _write(folder / "gpu_memory.txt", summary)


@contextmanager
def stacks_at_sigterm(run: Path, rank: int) -> Iterator[None]:
    """Write the stacks of all threads down at SIGTERM, even where no Python runs.

    What is written is dropped again if the block is left, however late.
    """
    name = f"sigterm-rank{rank}.txt"
    with _make_in_failure(run, name, lambda path: path.open("a", encoding="utf-8")) as stream:
        path = Path(stream.name)
        size = stream.tell()  # of what earlier launches have left
        faulthandler.register(signal.SIGTERM, stream, all_threads=True, chain=True)
        try:
            yield
        finally:
            faulthandler.unregister(signal.SIGTERM)
            os.ftruncate(stream.fileno(), size)
            if not size:
                path.unlink()
                with suppress(OSError):  # other ranks, or failures, have files there
                    path.parent.rmdir()


def _write(file: Path, text: str) -> None:
    """Write, whatever is in the text: names of files need not be UTF-8."""
    write_atomically(file, text)


def _make_in_failure(run: Path, name: str, make: Callable[[Path], T]) -> T:
    """Make a file or folder in `RUN/failure`, which other ranks remove when they find it empty."""
    path = run / "failure" / name
    while True:
        with suppress(FileExistsError):  # it was there, and is gone now
            path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            return make(path)


def _make_new(path: Path) -> Path | None:
    try:
        path.mkdir()
    except FileExistsError:
        return None
    return path
