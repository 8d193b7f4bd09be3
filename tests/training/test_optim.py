from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

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
    "values",
    [
        {"lr": 0.0},
        {"lr": float("inf")},
        {"max_grad_norm": -1.0},
        {"warmup_steps": -1},
        {"final_lr_fraction": 0},
        {"betas": (0.9, 1.0)},
        {"betas": (-0.1, 0.9)},
    ],
)
def test_impossible_values_are_refused_by_name(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        OptimConfig(**values)


class WeightNormed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = weight_norm(nn.Conv1d(4, 6, 3))
        self.up = weight_norm(nn.ConvTranspose1d(6, 4, 4), dim=1)
        self.linear = weight_norm(nn.Linear(4, 6))
        self.codebooks = nn.ModuleList([nn.Embedding(5, 4)])


def test_gains_of_weight_norm_biases_and_codebook_vectors_do_not_decay() -> None:
    net = WeightNormed()
    decayed, spared = make_optimizer(net, OptimConfig(weight_decay=0.5)).param_groups
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    layers = ("conv", "linear", "up")
    assert sorted(names[id(p)] for p in decayed["params"]) == [
        f"{layer}.parametrizations.weight.original1" for layer in layers
    ]
    assert sorted(names[id(p)] for p in spared["params"]) == sorted(
        ["codebooks.0.weight"]
        + [f"{layer}.bias" for layer in layers]
        + [f"{layer}.parametrizations.weight.original0" for layer in layers]
    )


def test_a_device_without_fused_adamw_gets_the_plain_one_and_a_note(
    caplog: pytest.LogCaptureFixture,
) -> None:
    optimizer = make_optimizer(nn.Linear(2, 2, device="meta"), OptimConfig())
    assert not optimizer.param_groups[0]["fused"]
    assert "no fused AdamW on meta" in caplog.text
    assert make_optimizer(nn.Linear(2, 2), OptimConfig()).param_groups[0]["fused"]


def test_wsd_stays_at_the_peak_and_falls_as_one_minus_sqrt_in_its_last_steps() -> None:
    config = OptimConfig(
        lr=2.0, schedule="wsd", warmup_steps=3, decay_steps=4, final_lr_fraction=0.1
    )
    falling = [2.0 * (1 - 0.9 * math.sqrt(i / 4)) for i in range(1, 5)]
    assert rates(config, 12) == pytest.approx([0.5, 1.0, 1.5] + 5 * [2.0] + falling)


def test_a_longer_wsd_run_has_the_same_steps_before_its_decay() -> None:
    """What the schedule is for: a run may be prolonged from before its decay."""
    config = OptimConfig(schedule="wsd", warmup_steps=2, decay_steps=3)
    assert rates(config, 10)[:7] == rates(config, 40)[:7]


@pytest.mark.parametrize("schedule", ["constant", "cosine", "wsd", "exponential"])
@pytest.mark.parametrize("warmup", [0, 1, 5])
@pytest.mark.parametrize("max_steps", [6, 7, 23])
def test_every_schedule_rises_then_falls_within_its_bounds(
    schedule: str, warmup: int, max_steps: int
) -> None:
    decay = {"decay_steps": max_steps - warmup} if schedule == "wsd" else {}
    config = OptimConfig(
        lr=1.0, schedule=schedule, warmup_steps=warmup, final_lr_fraction=0.2, **decay
    )
    seen = rates(config, max_steps)
    assert seen[:warmup] == sorted(seen[:warmup])
    assert seen[warmup:] == sorted(seen[warmup:], reverse=True)
    assert all(0 < rate <= 1 for rate in seen)
    if max_steps > warmup + 1:
        assert seen[-1] == pytest.approx(1.0 if schedule == "constant" else 0.2)
    for done in (0, warmup, max_steps - 1):
        optimizer = make_optimizer(nn.Linear(2, 2), config)
        seek_schedule(make_scheduler(optimizer, config, max_steps), done)
        assert optimizer.param_groups[0]["lr"] == seen[done]


def test_a_wsd_run_too_short_for_its_decay_is_refused() -> None:
    config = OptimConfig(schedule="wsd", warmup_steps=3, decay_steps=4)
    with pytest.raises(ValueError, match=r"max_steps \(6\), but are 3 \+ 4"):
        make_scheduler(make_optimizer(nn.Linear(2, 2), config), config, 6)
    for values in ({"schedule": "wsd"}, {"decay_steps": 3}, {"ema_decay": 1.0}):
        with pytest.raises(ValueError, match=r"decay_steps|ema_decay"):
            OptimConfig(**values)
