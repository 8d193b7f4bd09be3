from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from gsv2.training.optim import OptimConfig, make_optimizer, make_scheduler, seek_schedule


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.linear = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)
        self.gain = nn.Parameter(torch.ones(4, 1, 1))
        self.frozen = nn.Parameter(torch.ones(4, 4), requires_grad=False)


def rates(config: OptimConfig, max_steps: int) -> list[float]:
    optimizer = make_optimizer(nn.Linear(2, 2), config)
    scheduler = make_scheduler(optimizer, config, max_steps)
    seen = []
    for _ in range(max_steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def test_only_matrices_decay_and_frozen_parameters_are_left_out() -> None:
    net = Net()
    decayed, spared = make_optimizer(net, OptimConfig(weight_decay=0.5)).param_groups
    assert decayed["weight_decay"] == 0.5
    assert [id(p) for p in decayed["params"]] == [id(net.linear.weight)]
    assert spared["weight_decay"] == 0
    assert {id(p) for p in spared["params"]} == {
        id(p) for p in (net.embedding.weight, net.linear.bias, *net.norm.parameters(), net.gain)
    }


def test_schedules_warm_up_to_the_peak_and_end_at_the_final_fraction() -> None:
    for schedule, last in (("constant", 1.0), ("cosine", 0.1), ("exponential", 0.1)):
        config = OptimConfig(lr=2.0, schedule=schedule, warmup_steps=3, final_lr_fraction=0.1)
        seen = rates(config, 11)
        assert seen[:4] == pytest.approx([0.5, 1.0, 1.5, 2.0])
        assert seen[-1] == pytest.approx(2.0 * last)


def test_cosine_and_exponential_follow_their_formulas() -> None:
    cosine = rates(OptimConfig(lr=1.0, final_lr_fraction=0.2), 5)
    assert cosine == pytest.approx([0.2 + 0.4 * (1 + math.cos(math.pi * i / 4)) for i in range(5)])
    decay = rates(OptimConfig(lr=1.0, schedule="exponential", final_lr_fraction=0.5), 5)
    assert decay == pytest.approx([0.5 ** (i / 4) for i in range(5)])


def test_a_sought_schedule_goes_on_like_one_stepped_there() -> None:
    config = OptimConfig(lr=0.3, warmup_steps=2)
    optimizer = make_optimizer(nn.Linear(2, 2), config)
    scheduler = make_scheduler(optimizer, config, 10)
    seek_schedule(scheduler, 4)
    resumed = []
    for _ in range(6):
        resumed.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert resumed == rates(config, 10)[4:]


@pytest.mark.parametrize(
    "values", [{"lr": 0.0}, {"max_grad_norm": -1.0}, {"warmup_steps": -1}, {"final_lr_fraction": 0}]
)
def test_impossible_values_are_refused_by_name(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        OptimConfig(**values)
