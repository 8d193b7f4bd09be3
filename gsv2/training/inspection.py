"""Inspection of the first steps of a launch: the stage's contract, and what it computes in.

It looks on from outside of the step, and is gone after a few: later steps cost nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import count

from gsv2.data.stream.batch import Batch
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.engines.contract import GradientContract, StageError
from gsv2.training.precision.watch import PrecisionWatch
from gsv2.training.stage import Stage, Update


class StepInspection:
    """Checks the first step against the contract of a stage, and its precision for some more.

    Args:
        stage: stage with its engines.
        num_local: micro-batches of a step on this rank.
        precision: is shown every loss, as long as it looks.
    """

    def __init__(
        self,
        stage: Stage,
        distributed: Distributed,
        num_local: int,
        precision: PrecisionWatch | None = None,
    ) -> None:
        self._stage = stage
        self._distributed = distributed
        self._num_local = num_local
        self._precision = precision
        self._yielded: defaultdict[int, list[str | None]] = defaultdict(list)
        modules = {name: trainable.module for name, trainable in stage.trainables.items()}
        self._gradients: GradientContract | None = GradientContract(modules)

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        """Yield a stage's updates after a look at each. In the first step, collective.

        Raises:
            StageError: the micro-batches of the ranks are at different updates.
        """
        updates = self._stage.updates(batch, step)
        for phase in count():
            update = next(updates, None)
            if self._gradients is not None:
                self._compare(phase, update)
            if update is None:
                return
            if self._precision is not None:
                loss = {f"the loss of {update.trainable}": update.loss}
                self._precision.see({**loss, **update.metrics})
            yield update

    def check_gradients(self, name: str) -> None:
        """Check in the first step whom the gradients of an update reach.

        Raises:
            StageError: not all of its own network, or another one.
        """
        if self._gradients is not None:
            self._gradients.check(name)

    def end_step(self) -> bool:
        """Judge what was seen of a step; return whether there is nothing more to see. Collective.

        Raises:
            PrecisionError: on every rank, if a module of one computed in another dtype.
        """
        self.close()
        if self._precision is None:
            return True
        self._precision.end_step()
        return self._precision.is_over

    def close(self) -> None:
        """Look at gradients no longer."""
        if self._gradients is not None:
            self._gradients.close()
        self._gradients = None

    def _compare(self, phase: int, update: Update | None) -> None:
        """Compare the updates that all micro-batches are at, when this rank's last one is there."""
        yielded = self._yielded[phase]
        yielded.append(None if update is None else update.trainable)
        if len(yielded) == self._num_local:
            names = set().union(*self._distributed.gather(set(yielded)))
            if len(names) != 1:
                raise StageError(f"update {phase} of the micro-batches differs: {names}")
