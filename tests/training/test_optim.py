from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from gsv2.training.optim import OptimConfig, make_optimizer


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.linear = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)
        self.gain = nn.Parameter(torch.ones(4, 1, 1))
        self.frozen = nn.Parameter(torch.ones(4, 4), requires_grad=False)


def test_only_matrices_decay_and_frozen_parameters_are_left_out() -> None:
    net = Net()
    decayed, spared = make_optimizer(net, OptimConfig(weight_decay=0.5)).param_groups
    assert decayed["weight_decay"] == 0.5
    assert [id(p) for p in decayed["params"]] == [id(net.linear.weight)]
    assert spared["weight_decay"] == 0
    assert {id(p) for p in spared["params"]} == {
        id(p) for p in (net.embedding.weight, net.linear.bias, *net.norm.parameters(), net.gain)
    }


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


def test_modules_with_a_factor_have_their_own_rate_the_inner_one_counts_and_others_come_first():
    net = nn.ModuleDict({"a": nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)]), "b": Net()})
    config = OptimConfig(lr=0.1, weight_decay=0.5, lr_factors={"a": 0.5, "a.1": 2.0})
    groups = make_optimizer(net, config).param_groups
    names = {id(p): name for name, p in net.named_parameters()}
    found = {names[id(p)]: (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert groups[0]["lr"] == found["b.linear.weight"][0] == 0.1
    assert found["a.0.weight"] == (0.05, 0.5)
    assert found["a.0.bias"] == (0.05, 0.0)
    assert found["a.1.weight"] == (0.2, 0.5)


def test_factors_of_nothing_and_of_frozen_modules_and_impossible_ones_are_refused():
    for name in ("nothing", "frozen"):
        with pytest.raises(ValueError, match=f"lr_factors must name modules .* has '{name}'"):
            make_optimizer(Net(), OptimConfig(lr_factors={name: 0.1}))
    with pytest.raises(ValueError, match=r"lr_factors.a must be above 0, but is 0"):
        OptimConfig(lr_factors={"a": 0})
