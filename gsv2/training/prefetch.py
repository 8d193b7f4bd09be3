"""Reads the micro-batches of a step within the step before, while the device is at that one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from gsv2.data.stream.batch import Batch
from gsv2.training.distributed.agreement import Begun, Unison
from gsv2.training.guard import TrainingError
from gsv2.training.telemetry.clock import RunClock


class LookAhead:
    """This rank's micro-batches, a step at a time; what the ranks say of them travels meanwhile.

    Args:
        stream: this rank's endless micro-batches.
        num_local: of a step, on this rank.
        weigh: returns what micro-batches count, one figure for each trainable.
        num_weights: trainables.
        unison: in which the ranks read, leave and fail.
        clock: counts the reading; not the waiting for ranks that read for longer.
    """

    def __init__(
        self,
        stream: Iterator[Batch],
        num_local: int,
        weigh: Callable[[Sequence[Batch]], Sequence[float]],
        num_weights: int,
        unison: Unison,
        clock: RunClock,
    ) -> None:
        self._stream = stream
        self._num_local = num_local
        self._weigh = weigh
        self._num_weights = num_weights
        self._unison = unison
        self._clock = clock
        self._begun: Begun[list[Batch]] | None = None

    def begin(self) -> Begun[list[Batch]]:
        """Read the micro-batches of the next step. Collective."""
        with self._clock.reading():
            self._begun = self._unison.begin(self._fetch, self._num_weights)
        return self._begun

    def take(self) -> tuple[list[Batch], Sequence[float]]:
        """Return the micro-batches of the next step, and what all ranks' count. Collective.

        Raises:
            StopAgreed: a rank was told to leave.
            PeerError: another rank cannot read; this one's error is raised as it is.
            TrainingError: the stream ended.
        """
        begun = self._begun or self.begin()
        self._begun = None
        return begun.settle()

    def _fetch(self) -> tuple[list[Batch], Sequence[float]]:
        batches = list(islice(self._stream, self._num_local))
        if len(batches) < self._num_local:
            raise TrainingError("the training stream ended; streams for training are endless")
        return batches, self._weigh(batches)
