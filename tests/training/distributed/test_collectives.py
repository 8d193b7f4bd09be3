from __future__ import annotations

from pathlib import Path

import torch

from gsv2.training.distributed.collectives import stack_over_ranks, sum_over_ranks
from tests.support.forked_runs import ForkedRuns, finish


def test_one_process_keeps_its_own() -> None:
    tensor = torch.arange(6).view(2, 3)
    assert torch.equal(sum_over_ranks(tensor), tensor)
    assert torch.equal(stack_over_ranks(tensor), tensor[None])


def test_ranks_are_summed_and_stacked_in_order(tmp_path: Path, forked_runs: ForkedRuns) -> None:
    finish(forked_runs.start_ranks(tmp_path, "collectives"))
