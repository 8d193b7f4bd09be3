"""A process of any build of gsv2 that works when it is asked, and answers in JSON."""

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

_MARK = "TURN "
_LAST_BYTES = 2000


class Worker:
    """The process, seen from outside."""

    def __init__(self, name: str, process: subprocess.Popen[str], log: IO[bytes]) -> None:
        self._name = name
        self._process = process
        self._log = log

    def ask(self, line: str) -> dict[str, Any]:
        """Send a line, and return what the process answers in a line `TURN {...}`.

        Raises:
            RuntimeError: the process has ended; with its last words.
        """
        to, of = self._process.stdin, self._process.stdout
        assert to, "a pipe"
        assert of, "a pipe"
        try:
            to.write(line + "\n")
            to.flush()
        except BrokenPipeError:
            raise RuntimeError(self._last_words()) from None
        for answer in of:
            if answer.startswith(_MARK):
                return json.loads(answer.removeprefix(_MARK))
        raise RuntimeError(self._last_words())

    def _last_words(self) -> str:
        code = self._process.wait()
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - _LAST_BYTES))
        said = self._log.read().decode("utf-8", "replace").strip()
        return f"{self._name} ended with code {code}: {said}"


@contextmanager
def start_worker(tree: Path, script: Path, arguments: Sequence[str]) -> Iterator[Worker]:
    """Start a process on one thread that waits to be asked; end it on leaving.

    Args:
        tree: checkout of the build that the script imports.
        script: file to run, which prints its answers with the mark `TURN `.
        arguments: arguments of the script.
    """
    threads = {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-P", str(script), *arguments], cwd=tree,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            text=True, env={**os.environ, "PYTHONPATH": str(tree), **threads},
        )  # fmt: skip
        try:
            yield Worker(script.stem.strip("_"), process, log)
        finally:
            process.kill()
            process.communicate()
