"""Quarantine of clips that could not be read: written down, counted, and a limit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from gsv2.data.stream.batch import BadClip, Batch
from gsv2.training.accounting.state import TrainState
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.run_folder.records import RecordFile

MIN_CLIPS_TO_JUDGE = 100
"""The share of bad clips is taken of at least so many, so that one early clip stops no run."""
NAMED_CLIPS = 10


class TooManyBadClipsError(ValueError):
    """More clips were unreadable than the run allows."""


@runtime_checkable
class RefusingStage(Protocol):
    """A stage that may be unable to use a clip that could be read."""

    def take_refused(self) -> Sequence[tuple[int, BadClip]]:
        """Return (micro-batch, clip) of such clips since the last call."""


class QuarantineCounts(NamedTuple):
    """Counts of what one rank could read, and could not."""

    num_good: int
    bad: tuple[tuple[int, BadClip], ...]
    """Micro-batch, clip."""


class Quarantine:
    """Counts of the clips read by this rank, until `drain` hands them over."""

    def __init__(self, path: Path, max_bad_fraction: float, distributed: Distributed) -> None:
        self._path = path
        self._file = RecordFile(path)
        self._max_bad_fraction = max_bad_fraction
        self._distributed = distributed
        self._num_good = 0
        self._bad: list[tuple[int, BadClip]] = []

    def count(self, batches: Sequence[Batch]) -> None:
        """Take note of this rank's micro-batches."""
        for batch in batches:
            self._num_good += batch.num_clips if batch.weight else 0
            self._bad += [(batch.micro_batch, clip) for clip in batch.bad]

    def add(self, clips: Iterable[tuple[int, BadClip]]) -> None:
        """Take note of clips that could be read but not used, with their micro-batches."""
        self._bad += clips

    def drain(self) -> QuarantineCounts:
        """Return what this rank has counted since the last time, and begin anew."""
        counts = QuarantineCounts(self._num_good, tuple(self._bad))
        self._num_good, self._bad = 0, []
        return counts

    def merge(self, counts: Iterable[QuarantineCounts], state: TrainState) -> None:
        """Add the counts of all ranks to `state` and write the bad clips down. Collective.

        Raises:
            TooManyBadClipsError: the share of bad clips is above `data.max_bad_fraction`.
        """
        clips: list[tuple[int, BadClip]] = []
        for num_good, bad in counts:
            state.samples_seen += num_good
            state.bad_clips += len(bad)
            clips += bad
        clips.sort(key=lambda pair: pair[0])  # as one rank would
        if self._distributed.is_main:
            self._file.append([{"step": state.step, **clip.to_record()} for _, clip in clips])
        if clips:
            self._judge(state)

    def _judge(self, state: TrainState) -> None:
        read = state.samples_seen + state.bad_clips
        if state.bad_clips <= self._max_bad_fraction * max(read, MIN_CLIPS_TO_JUDGE):
            return
        first = self._distributed.on_main(lambda: self._file.read()[:NAMED_CLIPS])
        named = ", ".join(f"{clip['key']} in {clip['shard']}: {clip['reason']}" for clip in first)
        raise TooManyBadClipsError(
            f"{state.bad_clips} of {read} clips could not be read, more than "
            f"data.max_bad_fraction={self._max_bad_fraction} allows; all are in {self._path}. "
            f"The first: {named}"
        )
