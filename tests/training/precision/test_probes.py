from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from gsv2.training.precision.policy import PrecisionError, PrecisionPolicy
from gsv2.training.precision.probes import PrecisionProbes, planned_precision
from gsv2.training.stage import Trainable

CPU = torch.device("cpu")
NAMES = ("gpt", "ssl", "losses")


class Net(nn.Module):
    """A linear and a convolution, one of them outside autocast if `is_island`."""

    def __init__(self, *, is_island: bool = False) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.conv = nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 2, 3, padding=1))
        self.is_island = is_island

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        hidden = self.linear(x)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=not self.is_island):
            wide = self.conv(hidden.float().transpose(1, 2) if self.is_island else hidden.mT)
        return wide.float(), {"hidden": hidden, "count": torch.ones(1, dtype=torch.int64)}


class ProbedStage:
    def __init__(self, net: Net, policy: Mapping[str, str]) -> None:
        self.precision = PrecisionPolicy(policy, NAMES, {"ssl": "w2v-bert-2.0"})
        self.precision.frozen["ssl"] = nn.Linear(4, 4).requires_grad_(False)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: 1.0)
        self.trainables = {
            "gpt": Trainable(
                kind="gpt",
                module=net,
                config={},
                optimizer=optimizer,
                scheduler=scheduler,
                max_grad_norm=1.0,
            )
        }

    @property
    def modules(self) -> dict[str, nn.Module]:
        return {name: trainable.module for name, trainable in self.trainables.items()}

    def run(self) -> Tensor:
        with self.precision.autocast("ssl", CPU):
            features = self.precision.frozen["ssl"](torch.ones(2, 3, 4))
        with self.precision.autocast("gpt", CPU):
            return self.trainables["gpt"](features)[0].square().mean()


def probed(stage: ProbedStage, loss_dtype: torch.dtype = torch.float32) -> PrecisionProbes:
    probes = PrecisionProbes(stage.precision, stage.modules)
    probes.attach()
    probes.see({"the loss of gpt": stage.run().to(loss_dtype)})
    return probes


def test_a_stage_that_keeps_its_policy_passes_and_its_table_says_what_was_seen() -> None:
    stage = ProbedStage(Net(), {"gpt": "bf16"})
    assert [str(row) for row in planned_precision(stage.precision, stage.modules)] == [
        "gpt: parameters fp32, computes in bf16",
        "ssl: parameters fp32, computes in fp32",
        "losses: computes in fp32",
    ]
    probes = probed(stage)
    probes.check()
    assert [str(row) for row in probes.table()] == [
        "gpt: parameters fp32, computed in bf16, returned bf16+fp32",
        "ssl: parameters fp32, computed in fp32, returned fp32",
        "losses: computed in fp32",
    ]


def test_a_layer_in_another_dtype_stops_the_run_by_name() -> None:
    stage = ProbedStage(Net(is_island=True), {"gpt": "bf16"})
    with pytest.raises(PrecisionError, match=r"gpt is bf16, but gpt\.conv computed in fp32"):
        probed(stage).check()


def test_one_wrong_pass_among_right_ones_is_not_forgotten() -> None:
    stage = ProbedStage(Net(), {"gpt": "bf16"})
    probes = probed(stage)
    stage.trainables["gpt"].module.linear(torch.ones(1, 4))  # outside autocast
    stage.run()
    with pytest.raises(PrecisionError, match=r"gpt\.linear computed in fp32"):
        probes.check()


def test_what_validation_computes_in_does_not_count() -> None:
    stage = ProbedStage(Net(), {"gpt": "bf16"})
    probes = probed(stage)
    net = stage.trainables["gpt"].module.eval()
    net.linear(torch.ones(1, 4))  # outside autocast
    probes.check()


def test_a_loss_in_half_precision_stops_the_run() -> None:
    probes = probed(ProbedStage(Net(), {"gpt": "bf16"}), torch.bfloat16)
    with pytest.raises(
        PrecisionError, match="losses is fp32, but the loss of gpt computed in bf16"
    ):
        probes.check()


def test_a_term_in_half_precision_stops_the_run_by_its_name_though_the_sum_is_in_fp32() -> None:
    """Also if later steps have it in fp32."""
    probes = probed(ProbedStage(Net(), {"gpt": "bf16"}))
    terms = {"gpt/kl": torch.ones((), dtype=torch.bfloat16), "gpt/frames": torch.tensor(3)}
    for metrics in (terms, {name: value.float() for name, value in terms.items()}):
        probes.see({"the loss of gpt": torch.ones(()), **metrics})
    with pytest.raises(PrecisionError, match=r"losses is fp32, but gpt/kl computed in bf16"):
        probes.check()


def test_nothing_is_left_of_the_probes() -> None:
    stage = ProbedStage(Net(), {})
    probes = probed(stage)
    probes.detach()
    for module in [*stage.trainables["gpt"].module.modules(), stage.precision.frozen["ssl"]]:
        assert not module._forward_hooks
