"""Counters of this rank between two records of metrics, and their reduction over the ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gsv2.data.stream.batch import Batch
from gsv2.training.accounting.consumption import Consumption, sequence_shares
from gsv2.training.accounting.ledger import ledger_to_plain, pop_finished
from gsv2.training.accounting.quarantine import Quarantine, RefusingStage
from gsv2.training.accounting.state import TrainState
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.stage import Stage
from gsv2.training.telemetry.metrics import RunClock, WeightedMeans, merge_sums
from gsv2.training.telemetry.throughput import Throughput, hours_by_language, measure, work_figures


class RankCounters:
    """Counters of what this rank has read and done since the last `reduce`.

    Args:
        stage: knows what a micro-batch costs.
        quarantine: takes the clips that could not be read.
        peak_tflops: peak of one device for `train/mfu`; None = by its name.
    """

    def __init__(
        self,
        stage: Stage,
        distributed: Distributed,
        clock: RunClock,
        quarantine: Quarantine,
        peak_tflops: float | None = None,
    ) -> None:
        self._distributed = distributed
        self._stage = stage
        self._clock = clock
        self._quarantine = quarantine
        self._consumption = Consumption()
        self._throughput = Throughput(stage, distributed, peak_tflops)

    def count(self, batches: Sequence[Batch]) -> None:
        """Count one step, with this rank's micro-batches."""
        workloads = [measure(self._stage, batch) for batch in batches]
        self._quarantine.count(batches)
        if isinstance(self._stage, RefusingStage):
            self._quarantine.add(self._stage.take_refused())
        self._consumption.count(batches, workloads)
        self._throughput.count(batches, workloads)
        self._clock.count_step()

    def reduce(self, state: TrainState, means: WeightedMeans | None = None) -> dict[str, float]:
        """Add what all ranks have counted to `state`, and begin anew. Collective.

        Args:
            means: metrics of the step that a record is due for, which begins a lap and waits for
                the device; None if none is.

        Returns:
            The record's figures of all ranks; {} without one.

        Raises:
            TooManyBadClipsError: the share of bad clips is above `data.max_bad_fraction`.
        """
        of_record = None
        if means is not None:
            of_record = self._throughput.drain(), means.sums(), self._clock.lap_read_sec
        mine = self._quarantine.drain(), self._consumption.drain(), of_record
        quarantine, consumption, records = zip(*self._distributed.gather(mine), strict=True)
        self._consumption.merge(consumption, state)
        self._quarantine.merge(quarantine, state)
        if means is None:
            return {}
        work, sums, reading = zip(*records, strict=True)
        return {
            **work_figures(work, self._clock.lap_sec),
            **self._clock.lap(max(reading)),
            **merge_sums(sums),
        }


def drain_figures(state: TrainState) -> dict[str, Any]:
    """Return the figures of a record that the state holds, the same on all ranks; begin anew."""
    finished = pop_finished(state.ledger, state.positions)
    sequences, state.sequences = state.sequences, {}
    return {
        **sequence_shares(sequences),
        **hours_by_language(state.audio_seen),
        "data/samples_seen": state.samples_seen,
        "data/bad_clips": state.bad_clips,
        "train/skipped_updates": state.skipped,
        "train/spikes": state.spikes,
        **({"data/ledger": ledger_to_plain(finished)} if finished else {}),
    }
