"""The promise of the data plane, seen from a run: every clip once per lane epoch, provably."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.plan import Plan
from gsv2.data.stream.loader import StreamStart, make_loader
from gsv2.training.accounting.audit import check_ledger
from gsv2.training.accounting.consumption import Consumption
from gsv2.training.accounting.ledger import ledger_to_plain, pop_finished
from gsv2.training.accounting.state import TrainState
from gsv2.training.distributed.ranks import Distributed
from tests.support.thread_ranks import bring_together, run_ranks

LANES = 4
PER_STEP = 12
STEPS = 14
AUDIO = ("audio",)
BUCKET = {"max_frames": 90}
PACK = {"max_tokens": 240, "row_tokens": 120, "batching": "pack"}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory, make_corpus: Any) -> tuple[str, str]:
    """A corpus of 44 clips, one of them damaged, and one of 12 clips."""
    root = tmp_path_factory.mktemp("exactly_once")
    sizes = {"seconds": (0.4, 0.6), "num_speakers": 4}
    large = str(make_corpus(root / "large", 44, shard_mb=0.3, **sizes))
    small = str(make_corpus(root / "small", 12, seed=1, **sizes))
    index = CorpusIndex.open(SourceConfig(path=large))
    tar = Path(index.shards[0].tar)
    content = bytearray(tar.read_bytes())
    content[int(index.numbers("audio_offset")[3]) + 900] ^= 1
    tar.write_bytes(content)
    return large, small


@pytest.fixture(scope="module", params=["bucket", "pack", "mixture"])
def plan(request: pytest.FixtureRequest, corpora: tuple[str, str]) -> Plan:
    """A plan whose epochs are a few steps."""
    weights = [1.0, 1.0] if request.param == "mixture" else [None, None]
    sources = [SourceConfig(path=p, weight=w) for p, w in zip(corpora, weights, strict=True)]
    limits = PACK if request.param == "pack" else BUCKET
    config = DataConfig(sources=sources, lanes=LANES, window_mb=0.1, **limits)  # type: ignore[arg-type]
    return Plan(CorpusIndex.open(*sources), config, 0, AUDIO)


class Unbroken(NamedTuple):
    """A run of one rank from its first step to its last."""

    rows: list[Any]
    state: TrainState


@pytest.fixture(scope="module")
def unbroken(plan: Plan) -> Unbroken:
    state = TrainState()
    return Unbroken(consume(plan, Distributed(), state, STEPS), state)


def consume(plan: Plan, distributed: Distributed, state: TrainState, steps: int) -> list[Any]:
    """Go on with a run for some steps; return the ledgers of its rows, one row every three."""
    consumption, rows = Consumption(), []
    loader = make_loader(
        plan,
        rank=distributed.rank,
        world=distributed.world,
        start=StreamStart(state.next_micro_batch, dict(state.positions)),
    )
    batches = iter(loader)
    for _ in range(steps):
        consumption.count(list(itertools.islice(batches, PER_STEP // distributed.world)))
        state.step += 1
        state.next_micro_batch += PER_STEP
        if state.step % 3 == 0:
            bring_together(consumption, state, distributed)
            rows += ledger_to_plain(pop_finished(state.ledger, state.positions))
    bring_together(consumption, state, distributed)  # as before a checkpoint
    return rows


def test_the_ledger_of_a_run_is_what_the_plan_says(plan: Plan, unbroken: Unbroken) -> None:
    rows = unbroken.rows
    checks = list(check_ledger(plan, rows))
    assert sum(check.num_equal for check in checks) == len(rows) >= 2 * LANES
    assert not any(check.differences for check in checks)
    assert sum(check.bad_clips for check in checks) >= 2  # the damaged clip, once an epoch
    whole = [check for check in checks if check.num_equal == LANES]
    sizes = {part.number: sum(s.num_clips for s in part.shards) for part in plan.parts}
    for check in whole:
        assert check.clips + check.bad_clips == sizes[check.mixture_part]


@pytest.mark.parametrize(("worlds", "break_at"), [((1, 2), 4), ((4, 1), 8), ((2, 4), 9)])
def test_a_run_that_goes_on_with_other_ranks_writes_the_same_ledger(
    plan: Plan, unbroken: Unbroken, worlds: tuple[int, int], break_at: int
) -> None:
    def first(ranks: Distributed) -> tuple[Any, str]:
        state = TrainState()
        return consume(plan, ranks, state, break_at), json.dumps(state.to_plain())

    before, saved = run_ranks(worlds[0], first)[0]

    def second(ranks: Distributed) -> tuple[Any, TrainState]:
        state = TrainState.from_plain(json.loads(saved))
        return consume(plan, ranks, state, STEPS - break_at), state

    for after, state in run_ranks(worlds[1], second):
        assert before + after == unbroken.rows
        assert state == unbroken.state


def test_a_clip_that_is_read_twice_instead_of_another_is_found(plan: Plan) -> None:
    consumption, state = Consumption(), TrainState()
    batches = list(itertools.islice(make_loader(plan), PER_STEP * STEPS))
    victim = next(k for k, batch in enumerate(batches) if batch.num_clips > 1)
    _, second, *others = batches[victim].keys
    batches[victim] = replace(batches[victim], keys=(second, second, *others))
    consumption.count(batches)
    bring_together(consumption, state, Distributed())
    rows = ledger_to_plain(pop_finished(state.ledger, state.positions))
    differing = [text for check in check_ledger(plan, rows) for text in check.differences]
    assert len(differing) == 1
    assert differing[0].endswith("but not the same ones")
