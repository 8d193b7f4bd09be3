"""Collectives, which tests/training/distributed/test_collectives.py has two ranks check."""

from __future__ import annotations

import torch

from gsv2.training.distributed.collectives import stack_over_ranks, sum_over_ranks
from gsv2.training.distributed.ranks import Distributed


def main() -> None:
    """Sum and stack over two ranks."""
    ranks = Distributed()
    mine = torch.tensor([1.0, 2.0]) * (10 if ranks.rank else 1)
    assert sum_over_ranks(mine).tolist() == [11.0, 22.0]
    assert stack_over_ranks(mine).tolist() == [[1.0, 2.0], [10.0, 20.0]]
    assert stack_over_ranks(mine > 5).tolist() == [[False, False], [True, True]]
    assert mine[0] == (10.0 if ranks.rank else 1.0)
    ranks.close()
