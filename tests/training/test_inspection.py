from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gsv2.data.stream.batch import Batch
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.engines.contract import StageError
from gsv2.training.inspection import StepInspection
from gsv2.training.stage import Update
from gsv2.training.step import StepResult
from tests.support.run_step import run_step
from tests.support.thread_ranks import run_ranks
from tests.support.toy_stage import ToyStage, toy_batch, toy_config
from tests.training.test_step import LineStage, runner_of

CPU = torch.device("cpu")


def inspect_step(stage: Any, distributed: Distributed, batches: list[Batch]) -> StepInspection:
    """Take an inspected step."""
    runner = runner_of(stage, distributed)
    inspection = StepInspection(stage, distributed, len(batches))
    totals = runner.count_targets(batches)
    for name in runner.phases(batches, 1, totals, StepResult(), inspection.updates):
        inspection.check_gradients(name)
    return inspection


def test_a_stage_that_keeps_its_contract_trains_as_without_and_nothing_is_left(
    distributed: Distributed,
) -> None:
    seen, unseen = LineStage(), LineStage()
    inspection = inspect_step(seen, distributed, [toy_batch(1), toy_batch(2)])
    run_step(runner_of(unseen, distributed), [toy_batch(1), toy_batch(2)], 1)
    assert torch.equal(seen.weight, unseen.weight)
    assert inspection.end_step()
    assert not seen.weight._backward_hooks


def test_a_parameter_without_a_gradient_is_an_error(distributed: Distributed) -> None:
    stage = LineStage()
    stage.trainables["line"].module.register_parameter("idle", nn.Parameter(torch.ones(1)))
    with pytest.raises(StageError, match="line: parameter idle got no gradient"):
        inspect_step(stage, distributed, [toy_batch(1)])


def test_ranks_at_different_updates_are_an_error_on_each_before_any_waits(tmp_path: Path) -> None:
    class Uneven(ToyStage):
        def updates(self, batch: Batch, step: int) -> Iterator[Update]:
            yield from islice(super().updates(batch, step), 1 + batch.micro_batch)

    def run(distributed: Distributed) -> None:
        stage = Uneven(toy_config(tmp_path / str(distributed.rank)), CPU)
        inspection = StepInspection(stage, distributed, 1)
        for _ in inspection.updates(toy_batch(distributed.rank), 1):
            pass

    with pytest.raises(StageError, match="update 1 of the micro-batches differs"):
        run_ranks(2, run)
