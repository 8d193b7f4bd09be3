from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gsv2.nn.recompute import mark_recomputed, run_block


class Counted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 64), nn.GELU(), nn.Dropout(0.5), nn.Linear(64, 4))
        self.num_runs = 0

    def forward(self, x: Tensor) -> Tensor:
        self.num_runs += 1
        return self.layers(x)


def gradients(block: Counted, *, autocast: bool = False) -> list[Tensor]:
    torch.manual_seed(0)
    block.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        loss = run_block(block, torch.ones(3, 4, requires_grad=True)).float().square().sum()
    torch.manual_seed(9)  # what happens between the passes must not matter
    loss.backward()
    return [parameter.grad.clone() for parameter in block.parameters()]


@pytest.mark.parametrize("autocast", [False, True])
def test_a_marked_block_runs_twice_and_has_the_same_gradients(autocast: bool) -> None:
    block = Counted()
    expected = gradients(block, autocast=autocast)
    assert block.num_runs == 1
    mark_recomputed([block])
    torch.testing.assert_close(gradients(block, autocast=autocast), expected, rtol=0, atol=0)
    assert block.num_runs == 3


def test_a_marked_block_runs_once_without_gradients_or_in_evaluation() -> None:
    block = Counted()
    mark_recomputed([block])
    with torch.no_grad():
        run_block(block, torch.ones(3, 4))
    run_block(block.eval(), torch.ones(3, 4)).sum().backward()
    assert block.num_runs == 2


def test_a_marked_block_keeps_its_input_only() -> None:
    block, kept = Counted(), []
    mark_recomputed([block])
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape) or t, id):
        run_block(block, torch.ones(3, 4)).sum()
    assert kept == [(3, 4)]
