"""Tasks of one build: jobs of a cluster that encode a share of the recordings each.

All files lie beside the corpus, on a file system that all jobs see. Each job encodes every N-th
recording into a file of its own. Whoever finds that all have ended writes the corpus, which is the
one that a single process writes: it takes the recordings in their order, wherever they were
encoded.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from gsv2.data.building.written_shards import WRITTEN_NAME

ItemT = TypeVar("ItemT")
_LOCK, _DONE = ".lock", ".done"
_NOT_JOURNALS = (_LOCK, _DONE)
_TASK = re.compile(r"([1-9]\d*)/([1-9]\d*)")


@dataclass(frozen=True)
class Task:
    """One of the jobs of a build."""

    number: int
    """From 1."""
    count: int
    """Number of all jobs."""

    def num_of(self, count: int) -> int:
        """Return how many of so many items are of this job."""
        return len(range(self.number - 1, count, self.count))

    def share(self, items: Iterable[ItemT]) -> Iterator[ItemT]:
        """Yield the items of this job."""
        return islice(items, self.number - 1, None, self.count)


def parse_task(text: str) -> Task:
    """Return the task that `I/N` names.

    Raises:
        ValueError: it is none, or I is above N.
    """
    found = _TASK.fullmatch(text)
    if found is None or int(found[1]) > int(found[2]):
        raise ValueError(f"a task must be I/N, with I from 1 to N, but is {text!r}")
    return Task(int(found[1]), int(found[2]))


class WorkFiles:
    """Files of an unfinished build, beside the corpus to be.

    Args:
        out: corpus folder.
        task: job that adds to its own; None: the process that writes the corpus.
    """

    def __init__(self, out: Path, task: Task | None = None) -> None:
        self.task = task
        self.out = out
        label = "" if task is None else f"-{task.number}-of-{task.count}"
        self.journal = self._path(f"encoded{label}")
        """Encoded clips."""
        self.cuts = self._path(f"cuts{label}")
        """Where recordings were cut."""
        self.inputs = self._path("inputs")
        """Marks of what was listed."""
        self.mirror = self._path("input")
        """Mirror of a remote input."""
        self.lock = self._path(f"encoded{label}{_LOCK}")
        """Held by the process that adds to them."""
        self._done = self._path(f"encoded{label}{_DONE}")

    @property
    def all_journals(self) -> list[Path]:
        """Journals of all jobs that have begun."""
        return [path for path in self._all("encoded") if not path.name.endswith(_NOT_JOURNALS)]

    @property
    def all_cuts(self) -> list[Path]:
        """Files of cuts of all jobs that have begun."""
        return self._all("cuts")

    @property
    def has_shards(self) -> bool:
        """Whether an ended build has left whole shards of the corpus."""
        return (self._path("building") / WRITTEN_NAME).is_file()

    def finish(self) -> None:
        """Note that this job has encoded its share."""
        self._done.touch()

    def are_finished(self, count: int) -> bool:
        """Tell whether all of so many jobs have encoded theirs."""
        tasks = (Task(number, count) for number in range(1, count + 1))
        return all(WorkFiles(self.out, task)._done.is_file() for task in tasks)

    def remove(self) -> None:
        """Remove the files of all jobs."""
        for path in (*self._all("encoded"), *self._all("cuts"), self.inputs):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.mirror, ignore_errors=True)

    def _path(self, name: str) -> Path:
        return self.out.parent / f".{self.out.name}.{name}"

    def _all(self, name: str) -> list[Path]:
        start = self._path(name).name
        if not self.out.parent.is_dir():
            return []
        found = (path for path in self.out.parent.iterdir() if path.name.startswith(start))
        return sorted(path for path in found if re.match(r"-|\.|$", path.name[len(start) :]))
