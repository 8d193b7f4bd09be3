"""Prefetching of a step's micro-batches within the step before, while the device is at that one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from gsv2.data.stream.batch import Batch
from gsv2.training.distributed.agreement import PendingAgreement, RankAgreement
from gsv2.training.guard import TrainingError
from gsv2.training.telemetry.metrics import RunClock, Times

_NO_TIMES = Times(0.0, 0.0, 0.0)


class StepPrefetcher:
    """This rank's micro-batches, a step at a time; what the ranks say of them travels meanwhile.

    Args:
        stream: this rank's endless micro-batches.
        num_local: micro-batches of a step on this rank.
        count_targets: returns the targets of micro-batches, one figure for each trainable.
        num_trainables: number of those figures.
        agreement: agreement in which the ranks read, leave and fail.
        clock: counts the reading; not the waiting for ranks that read for longer. That of rank 0
            tells all ranks the times of the run.
    """

    def __init__(
        self,
        stream: Iterator[Batch],
        num_local: int,
        count_targets: Callable[[Sequence[Batch]], Sequence[float]],
        num_trainables: int,
        agreement: RankAgreement,
        clock: RunClock,
    ) -> None:
        self._stream = stream
        self._num_local = num_local
        self._count_targets = count_targets
        self._num_trainables = num_trainables
        self._agreement = agreement
        self._clock = clock
        self._pending: PendingAgreement[list[Batch]] | None = None

    def begin(self) -> PendingAgreement[list[Batch]]:
        """Read the micro-batches of the next step. Collective."""
        start = time.perf_counter()
        num_counts = self._num_trainables + len(Times._fields)
        self._pending = self._agreement.begin(self._fetch, num_counts)
        self._clock.lap_read_sec += time.perf_counter() - start
        return self._pending

    def take(self) -> tuple[list[Batch], Sequence[float], Times]:
        """Return the micro-batches of the next step, and the targets of all ranks. Collective.

        With them come the times of the run when rank 0 had read, the same on all ranks.

        Raises:
            StopAgreed: a rank was told to leave.
            PeerError: another rank cannot read; this one's error is raised as it is.
            TrainingError: the stream ended.
        """
        pending = self._pending or self.begin()
        self._pending = None
        batches, counts = pending.wait()
        return batches, counts[: self._num_trainables], Times(*counts[self._num_trainables :])

    def _fetch(self) -> tuple[list[Batch], Sequence[float]]:
        batches = list(islice(self._stream, self._num_local))
        if len(batches) < self._num_local:
            raise TrainingError("the training stream ended; streams for training are endless")
        times = self._clock.times if self._agreement.distributed.is_main else _NO_TIMES
        return batches, [*self._count_targets(batches), *times]
