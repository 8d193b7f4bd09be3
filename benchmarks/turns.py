"""Work of any build of gsv2 in a process of its own, which goes on when it is told to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

_WORKER = Path(__file__).with_name("_quickstart_worker.py")
_MARK = "TURN "
_LAST_BYTES = 2000


class TrainingTurns:
    """The process of a worker, which trains or speaks, seen from outside."""

    def __init__(self, process: subprocess.Popen[str], log: IO[bytes]) -> None:
        self._process = process
        self._log = log
        self.told: dict[str, Any] = {}
        """What the worker has said of its last turn."""

    def take(self) -> float:
        """Let the worker take a turn, and return the seconds of audio of a CPU second.

        Raises:
            RuntimeError: it has ended; with its last words.
        """
        to, of = self._process.stdin, self._process.stdout
        assert to, "a pipe"
        assert of, "a pipe"
        try:
            to.write("go on\n")
            to.flush()
        except BrokenPipeError:
            raise RuntimeError(self._last_words()) from None
        for line in of:
            if line.startswith(_MARK):
                took = self.told = json.loads(line.removeprefix(_MARK))
                return float(took["audio_sec"] / took["cpu_sec"])
        raise RuntimeError(self._last_words())

    def _last_words(self) -> str:
        code = self._process.wait()
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - _LAST_BYTES))
        said = self._log.read().decode("utf-8", "replace").strip()
        return f"the worker ended with code {code}: {said}"


@contextmanager
def training_turns(
    tree: Path, config: Path, overrides: Sequence[str], updates: int
) -> Iterator[TrainingTurns]:
    """Start a run that waits for its first turn; end it on leaving.

    Args:
        tree: checkout of the build.
        config: config of the run.
        overrides: `section.key=value`; `run.dir` and `run.name` are among them.
        updates: updates of a turn.
    """
    with worker_turns(tree, _WORKER, [str(config), str(updates), *overrides]) as turns:
        yield turns


@contextmanager
def worker_turns(tree: Path, worker: Path, arguments: Sequence[str]) -> Iterator[TrainingTurns]:
    """Start a worker that waits for its first turn, on one thread; end it on leaving.

    Args:
        tree: checkout of the build.
        worker: script that takes a turn for each line that it reads, and tells of it.
        arguments: arguments of the script.
    """
    command = [sys.executable, "-P", str(worker), *arguments]
    threads = {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, cwd=tree, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            text=True, env={**os.environ, "PYTHONPATH": str(tree), **threads},
        )  # fmt: skip
        try:
            yield TrainingTurns(process, log)
        finally:
            process.kill()
            process.communicate()
