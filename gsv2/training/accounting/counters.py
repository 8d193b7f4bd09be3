"""All that a rank counts between two rows, and the one message that brings it together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gsv2.data.stream.batch import Batch
from gsv2.training.accounting.consumption import Consumption
from gsv2.training.accounting.quarantine import Quarantine
from gsv2.training.accounting.state import TrainState
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.run_folder.folder import RunFolder
from gsv2.training.stage import Stage
from gsv2.training.telemetry.clock import RunClock
from gsv2.training.telemetry.metrics import WeightedMeans, merge_shares
from gsv2.training.telemetry.throughput import Throughput, measure, work_figures

if TYPE_CHECKING:  # run.py needs TrainerConfig from trainer.py, which needs this module
    from gsv2.training.config import RunConfig


class Accounts:
    """What this rank has read and done since the last `settle`.

    Args:
        config: of the run.
        distributed: the ranks.
        stage: knows what a micro-batch costs.
        folder: of the run.
        clock: of the run.
    """

    def __init__(
        self,
        config: RunConfig,
        distributed: Distributed,
        stage: Stage,
        folder: RunFolder,
        clock: RunClock,
    ) -> None:
        self._distributed = distributed
        self._stage = stage
        self._clock = clock
        self._quarantine = Quarantine(folder.quarantine, config.data.max_bad_fraction, distributed)
        self._consumption = Consumption()
        self._throughput = Throughput(stage, distributed, config.tracking.peak_tflops)

    def count(self, batches: Sequence[Batch]) -> None:
        """Take note of this rank's micro-batches of a step."""
        workloads = [measure(self._stage, batch) for batch in batches]
        self._quarantine.count(batches)
        self._consumption.count(batches, workloads)
        self._throughput.count(batches, workloads)

    def settle(self, state: TrainState, means: WeightedMeans | None = None) -> dict[str, float]:
        """Add what all ranks have read to `state`. Collective.

        Args:
            state: of the run.
            means: of the step that a row is due for, which begins a lap and waits for the device;
                None if none is.

        Returns:
            The row's figures of all ranks; {} without one.

        Raises:
            TooManyBadClipsError: the share of bad clips is above `data.max_bad_fraction`.
        """
        of_row = None
        if means is not None:
            of_row = self._throughput.share(), means.share(), self._clock.lap_read_sec
        mine = self._quarantine.share(), self._consumption.share(), of_row
        quarantine, consumption, rows = zip(*self._distributed.gather(mine), strict=True)
        self._consumption.merge(consumption, state)
        self._quarantine.merge(quarantine, state)
        if means is None:
            return {}
        work, shares, reading = zip(*rows, strict=True)
        return {
            **work_figures(work, self._clock.lap_sec),
            **self._clock.lap(max(reading)),
            **merge_shares(shares),
        }
