from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from gsv2.data.stream.batch import Batch
from gsv2.training.distributed.agreement import PeerError, RankAgreement
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.faults.failure import FlightRecorder
from gsv2.training.faults.signals import StopSignals
from gsv2.training.guard import TrainingError
from gsv2.training.prefetch import StepPrefetcher
from gsv2.training.schedule import RunProgress
from gsv2.training.telemetry.metrics import RunClock
from tests.support.thread_ranks import run_ranks
from tests.support.toy_stage import toy_batch


def prefetcher_of(
    distributed: Distributed, stream: Iterator[Batch], clock: RunClock | None = None
) -> StepPrefetcher:
    """Return one of two micro-batches a step, which count their clips."""
    recorder = FlightRecorder(Path(), distributed.rank, torch.device("cpu"))
    agreement = RankAgreement(distributed, StopSignals(), recorder)

    def weigh(batches: list[Batch]) -> list[float]:
        return [float(sum(batch.num_clips for batch in batches))]

    return StepPrefetcher(stream, 2, weigh, 1, agreement, clock or RunClock(0.0))


def batches_of(ahead: StepPrefetcher) -> list[int]:
    return [batch.micro_batch for batch in ahead.take()[0]]


def test_every_micro_batch_is_handed_out_once_whether_begun_before_or_not(
    distributed: Distributed,
) -> None:
    ahead = prefetcher_of(distributed, map(toy_batch, itertools.count()))
    assert batches_of(ahead) == [0, 1]
    ahead.begin()
    assert batches_of(ahead) == [2, 3]
    assert batches_of(ahead) == [4, 5]


def test_counts_are_those_of_the_step_over_all_ranks() -> None:
    def run(distributed: Distributed) -> list[float]:
        sizes = itertools.count(1 + 10 * distributed.rank)
        ahead = prefetcher_of(distributed, (toy_batch(0, num_clips=n) for n in sizes))
        ahead.begin()
        return [ahead.take()[1][0], ahead.take()[1][0]]

    assert run_ranks(2, run) == [[1 + 2 + 11 + 12, 3 + 4 + 13 + 14]] * 2


def test_a_rank_counts_its_own_reading_and_not_its_waiting_for_others() -> None:
    def run(distributed: Distributed) -> float:
        def slow() -> Iterator[Batch]:
            for k in itertools.count():
                time.sleep(0.2 * distributed.rank)
                yield toy_batch(k)

        clock = RunClock(0.0)
        prefetcher_of(distributed, slow(), clock).take()
        return clock.lap_read_sec

    first, second = run_ranks(2, run)
    assert isinstance(first, float)
    assert isinstance(second, float)
    assert first < 0.2 < 0.4 <= second


def test_a_stream_that_ends_on_one_rank_ends_the_step_on_all() -> None:
    def run(distributed: Distributed) -> list[int]:
        ahead = prefetcher_of(distributed, map(toy_batch, range(2 + distributed.rank)))
        ahead.take()
        return batches_of(ahead)

    first, second = run_ranks(2, run)
    assert isinstance(first, TrainingError)
    assert isinstance(second, TrainingError)


def test_an_error_of_the_stream_is_named_to_the_other_ranks() -> None:
    def broken() -> Iterator[Batch]:
        yield toy_batch(0)
        raise OSError("shard 7 is torn")

    def run(distributed: Distributed) -> list[int]:
        stream = broken() if distributed.rank else map(toy_batch, itertools.count())
        return batches_of(prefetcher_of(distributed, stream))

    first, second = run_ranks(2, run)
    assert isinstance(first, PeerError)
    assert str(first) == "rank 1 cannot go on: OSError: shard 7 is torn"
    assert isinstance(second, OSError)


def test_waiting_without_an_error_is_an_error_of_nobody(distributed: Distributed) -> None:
    ahead = prefetcher_of(distributed, iter(()))
    pending = ahead.begin()  # says nothing yet: the ranks act on it together
    with pytest.raises(TrainingError, match="endless"):
        pending.wait()


def test_two_ranks_stop_at_one_step_by_the_clock_of_the_first() -> None:
    """Clocks that disagree by minutes: every rank is told rank 0's times."""

    def run(distributed: Distributed) -> list[tuple[int, bool, float]]:
        clock = RunClock(elapsed_sec=50.0 + 600.0 * distributed.rank)
        ahead = prefetcher_of(distributed, map(toy_batch, itertools.count()), clock)
        progress = RunProgress(max_sec=60.0)
        seen = []
        while not progress.is_last:
            progress.begin_step(*ahead.take()[2])
            progress.step += 1
            clock._start -= 4.0  # each step takes so long
            seen.append((progress.step, progress.is_last, progress.total_steps))
        return seen

    first, second = run_ranks(2, run)
    assert isinstance(first, list)
    assert first == second
    assert [is_last for _, is_last, _ in first] == [False, False, False, True]
