"""A training run of any build of gsv2 in a process of its own, which goes on when it is told to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.workers import Worker, start_worker

_WORKER = Path(__file__).with_name("_quickstart_worker.py")


class TrainingTurns:
    """The process of a run, seen from outside."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def take(self) -> float:
        """Let the run take a turn, and return the seconds of audio that a CPU second trained on.

        Raises:
            RuntimeError: the run has ended; with its last words.
        """
        took = self._worker.ask("go on")
        return float(took["audio_sec"] / took["cpu_sec"])


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
    with start_worker(tree, _WORKER, [str(config), str(updates), *overrides]) as worker:
        yield TrainingTurns(worker)
