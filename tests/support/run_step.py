"""One step of a stage, taken as the training loop does."""

from __future__ import annotations

from collections.abc import Sequence

from gsv2.data.stream.batch import Batch
from gsv2.training.step import StepResult, StepRunner


def run_step(runner: StepRunner, batches: Sequence[Batch], step: int) -> StepResult:
    """Take a step from its first phase to its last. Collective."""
    totals = runner._distributed.sum(runner.count_targets(batches))
    result = StepResult()
    for _ in runner.phases(batches, step, totals, result):
        pass
    return result
