from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from gsv2.data.plan.window import LanePosition
from gsv2.data.stream.batch import Batch
from gsv2.training.accounting.consumption import Consumption, sequence_shares
from gsv2.training.accounting.ledger import ledger_to_plain, pop_finished
from gsv2.training.accounting.state import TrainState
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.telemetry.throughput import Workload
from tests.support.thread_ranks import bring_together, run_ranks
from tests.support.toy_stage import NUM_LANES, torn_batch, toy_batch, toy_position

PER_STEP = 12
Stream = Callable[[Distributed, int, Mapping[int, LanePosition]], Iterator[Batch]]


def toys(
    distributed: Distributed, start: int, positions: Mapping[int, LanePosition]
) -> Iterator[Batch]:
    """The stream of one rank, which must be given every lane's latest position."""
    for lane, position in positions.items():
        assert position == toy_position(start - (start - lane - 1) % NUM_LANES - 1)
    return map(torn_batch, itertools.count(start + distributed.rank, distributed.world))


def consume(distributed: Distributed, state: TrainState, steps: int, stream: Stream) -> Any:
    """Do to a state what a run of some steps does; return its rows."""
    consumption, rows = Consumption(), []
    batches = stream(distributed, state.next_micro_batch, dict(state.positions))
    for _ in range(steps):
        count = PER_STEP // distributed.world
        consumption.count(list(itertools.islice(batches, count)))
        state.next_micro_batch += PER_STEP
        bring_together(consumption, state, distributed)
        rows.append((ledger_to_plain(pop_finished(state.ledger, state.positions)), state.sequences))
        state.sequences = {}
    return rows, state.to_plain()


@pytest.mark.parametrize("world", [2, 3, 4])
def test_all_ranks_hold_what_one_would(world: int) -> None:
    rows, plain = consume(Distributed(), TrainState(), 5, toys)
    assert sum(len(ledger) for ledger, _ in rows) == 3 * NUM_LANES
    for of_rank in run_ranks(world, lambda rank: consume(rank, TrainState(), 5, toys)):
        assert of_rank == (rows, plain)


@pytest.mark.parametrize("worlds", [(1, 4), (4, 1), (3, 2)])
@pytest.mark.parametrize("break_at", [1, 2, 3])
def test_a_run_that_goes_on_with_other_ranks_writes_the_same_ledger(
    worlds: tuple[int, int], break_at: int
) -> None:
    rows, plain = consume(Distributed(), TrainState(), 5, toys)
    before = run_ranks(worlds[0], lambda rank: consume(rank, TrainState(), break_at, toys))
    first, saved = before[0]
    after = run_ranks(
        worlds[1],
        lambda rank: consume(rank, TrainState.from_plain(saved), 5 - break_at, toys),
    )
    for second, end in after:
        assert first + second == rows
        assert end == plain


def test_what_was_not_settled_is_not_in_the_state() -> None:
    consumption, state = Consumption(), TrainState()
    consumption.count([toy_batch(0)])
    assert state == TrainState()
    bring_together(consumption, state, Distributed())
    settled = state.to_plain()
    bring_together(consumption, state, Distributed())
    assert state.to_plain() == settled


def test_sequences_are_told_apart_by_their_number_of_clips() -> None:
    consumption, state = Consumption(), TrainState()
    consumption.count([toy_batch(3), toy_batch(0), torn_batch(5)])  # 2 + 1 + 1 clips; 1; nothing
    bring_together(consumption, state, Distributed())
    assert state.sequences == {1: 3, 2: 1}
    assert sequence_shares(state.sequences) == {
        "data/sequence_share/1": 0.75,
        "data/sequence_share/2": 0.25,
        "data/sequence_share/3": 0.0,
        "data/sequence_share/4": 0.0,
        "data/sequence_share/5+": 0.0,
    }
    assert sequence_shares({5: 1, 9: 1, 4: 2})["data/sequence_share/5+"] == 0.5


def _speak(distributed: Distributed, state: TrainState, steps: int, saves: set[int]) -> dict:
    """Go on with a run whose clips speak two languages; return what it has heard."""
    consumption = Consumption()
    for step in range(steps):
        first = state.next_micro_batch + distributed.rank
        numbers = range(first, state.next_micro_batch + PER_STEP, distributed.world)
        batches = [
            replace(toy_batch(k), languages=("en" if k % 2 else "zh",) * toy_batch(k).num_clips)
            for k in numbers
        ]
        workloads = [Workload([batch.micro_batch + 1] * batch.num_clips) for batch in batches]
        consumption.count(batches, workloads)
        state.next_micro_batch += PER_STEP
        if step in saves:
            bring_together(consumption, state, distributed)
    bring_together(consumption, state, distributed)
    return state.audio_seen


@pytest.mark.parametrize("world", [1, 2, 4])
def test_hours_of_a_language_are_exact_on_any_ranks_and_after_any_resume(world: int) -> None:
    expected = {"en": 0, "zh": 0}
    for k in range(6 * PER_STEP):
        expected["en" if k % 2 else "zh"] += (k + 1) * len(toy_batch(k).keys)
    for heard in run_ranks(world, lambda rank: _speak(rank, TrainState(), 6, {1, 3})):
        assert heard == expected

    def broken(distributed: Distributed) -> dict:
        state = TrainState()
        _speak(distributed, state, 4, set())
        plain = json.loads(json.dumps(state.to_plain()))  # as a checkpoint has it
        return _speak(distributed, TrainState.from_plain(plain), 2, set())

    assert run_ranks(world, broken)[0] == expected
