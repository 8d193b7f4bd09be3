from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from gsv2.data.stream.batch import Batch
from gsv2.training.checkpoints.checkpoint import find_component
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.engines.compile import CompileError
from gsv2.training.precision.loss_scale import LossScale
from gsv2.training.precision.policy import PrecisionError, PrecisionPolicy
from gsv2.training.prepare import attach_loss_scales, recompute_activations
from gsv2.training.run_folder.records import read_records
from gsv2.training.stage import Update
from tests.support.run_step import run_step
from tests.support.toy_stage import ToyRunConfig, ToyStage, fit_toy, toy_batch, toy_config
from tests.training.test_step import LineStage, runner_of

STEADY = {name: {"schedule": "constant"} for name in ("generator", "discriminator")}
"""Rates that do not depend on the length of the run."""
AVERAGED = {**STEADY, "generator": {"schedule": "constant", "ema_decay": 0.6}}


class MixedStage(ToyStage):
    """Runs its networks in the dtypes of its policy, but the generator's if `is_deaf`."""

    is_deaf = False

    def __init__(self, config: ToyRunConfig, device: torch.device) -> None:
        super().__init__(config, device)
        self.device = device
        for name, trainable in self.trainables.items():
            trainable.module.forward = self._mixed(name, trainable.module)

    def _mixed(self, name: str, module: nn.Module) -> Any:
        forward = module.forward

        def run(x: Tensor) -> Tensor:
            policy = "discriminator" if self.is_deaf else name
            with self.precision.autocast(policy, self.device):
                return forward(x)

        return run

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        for update in super().updates(batch, step):
            yield update._replace(loss=update.loss.float())


class DeafStage(MixedStage):
    is_deaf = True


def run_rows(folder: Path) -> list[dict[str, Any]]:
    return read_records(folder / "run" / "metrics.jsonl")


def precision_of(folder: Path) -> list[list[str]]:
    table = json.loads((folder / "run" / "environment.json").read_text())["precision"]
    return [[row[k] for k in ("module", "parameters", "computes_in", "returns")] for row in table]


def test_the_table_in_environment_json_says_what_the_first_steps_computed_in(
    tmp_path: Path, distributed: Distributed
) -> None:
    config = toy_config(tmp_path, precision={"generator": "bf16"})
    stage, _ = fit_toy(config, distributed, stage_class=MixedStage)
    assert precision_of(tmp_path) == [
        ["generator", "fp32", "bf16", "bf16"],
        ["discriminator", "fp32", "fp32", "fp32"],
    ]
    for trainable in stage.trainables.values():
        assert all(not module._forward_hooks for module in trainable.module.modules())


def test_a_module_that_computes_in_another_dtype_stops_the_run_by_name(
    tmp_path: Path, distributed: Distributed
) -> None:
    config = toy_config(tmp_path, precision={"generator": "bf16"})
    message = r"precision\.generator is bf16, but generator\.layers\.0 computed in fp32"
    with pytest.raises(PrecisionError, match=message):
        fit_toy(config, distributed, stage_class=DeafStage)
    assert precision_of(tmp_path)[0] == ["generator", "fp32", "bf16", ""]


def test_a_compiled_run_is_looked_at_before_it_is_compiled_and_trains_the_same(
    tmp_path: Path, distributed: Distributed
) -> None:
    from tests.training.test_dry_run import DryToyStage

    trainer = {
        "max_steps": 2,
        "log_every_steps": 1,
        "compile": {"generator": "default"},
        "compile_backend": "eager",
    }
    compiled, _ = fit_toy(
        toy_config(tmp_path / "a", trainer=trainer), distributed, stage_class=DryToyStage
    )
    torch._dynamo.reset()
    assert compiled.trainables["generator"].module._compiled_call_impl is not None
    assert precision_of(tmp_path / "a")[0] == ["generator", "fp32", "fp32", "fp32"]
    plain = toy_config(tmp_path / "b", trainer={"max_steps": 2, "log_every_steps": 1})
    stage, _ = fit_toy(plain, distributed, stage_class=DryToyStage)
    for name, trainable in stage.trainables.items():
        torch.testing.assert_close(
            compiled.trainables[name].module.state_dict(), trainable.module.state_dict()
        )


def test_averages_are_validated_saved_and_resumed(tmp_path: Path, distributed: Distributed) -> None:
    fit_toy(toy_config(tmp_path / "a", optim=AVERAGED), distributed)
    halved = {"max_steps": 4, "log_every_steps": 1, "validate_every_steps": 3}
    fit_toy(toy_config(tmp_path / "b", optim=AVERAGED, trainer=halved), distributed)
    fit_toy(toy_config(tmp_path / "b", optim=AVERAGED), distributed)
    plain, _ = fit_toy(toy_config(tmp_path / "c", optim=STEADY), distributed)

    runs = [tmp_path / name / "run" for name in "abc"]
    averages = [load_file(find_component(run, "generator.ema")) for run in runs[:2]]
    torch.testing.assert_close(*averages, rtol=0, atol=0)
    last = load_file(find_component(runs[0], "generator"))
    torch.testing.assert_close(last, plain.trainables["generator"].module.state_dict())
    assert averages[0].keys() == last.keys()
    assert not torch.equal(averages[0]["layers.0.weight"], last["layers.0.weight"])
    assert not (find_component(runs[0], "generator").parent / "discriminator.ema").exists()

    rows = [run_rows(run.parent) for run in runs]
    assert rows[0][-1]["validation/generator/error"] == rows[1][-1]["validation/generator/error"]
    assert rows[0][-1]["validation/generator/error"] != rows[2][-1]["validation/generator/error"]
    assert rows[0][-1]["generator/error"] == rows[2][-1]["generator/error"]


def test_an_average_that_a_checkpoint_does_not_have_begins_there(
    tmp_path: Path, distributed: Distributed, caplog: pytest.LogCaptureFixture
) -> None:
    fit_toy(toy_config(tmp_path, trainer={"max_steps": 4}), distributed)
    stage, _ = fit_toy(toy_config(tmp_path, optim=AVERAGED), distributed)
    assert "no average of vits2 in the checkpoint" in caplog.text
    average = load_file(find_component(tmp_path / "run", "generator.ema"))
    assert not torch.equal(
        average["layers.0.weight"], stage.trainables["generator"].module.layers[0].weight
    )


class HalfStage(LineStage):
    """A line in fp16 whose gradients are near the smallest that fp16 has."""

    def __init__(self, policy: dict[str, str], size: float) -> None:
        super().__init__()
        self.precision = PrecisionPolicy(policy, ("line",))
        self.size = size

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        with self.precision.autocast("line", torch.device("cpu")):
            output = self.trainables["line"](batch.wave[:, 0])
        yield Update("line", (output.float() * self.size).mean(), {})


def norms(stage: HalfStage, distributed: Distributed, num_steps: int = 1) -> list[float]:
    runner = runner_of(stage, distributed)
    results = [run_step(runner, [toy_batch(3)], step) for step in range(1, num_steps + 1)]
    assert all(result.skipped == 0 for result in results)
    return [float(result.figures["line/grad_norm"]) for result in results]


def test_loss_scaling_keeps_the_gradients_that_fp16_would_lose(distributed: Distributed) -> None:
    tiny = 1e-7
    expected = norms(HalfStage({}, tiny), distributed)
    lost = norms(HalfStage({"line": "fp16"}, tiny), distributed)
    assert lost[0] < 0.5 * expected[0]
    scaled = HalfStage({"line": "fp16"}, tiny)
    attach_loss_scales(scaled, {})
    assert norms(scaled, distributed) == pytest.approx(expected, rel=1e-2)


def test_an_overflow_of_the_scaled_loss_halves_the_scale_and_counts_as_no_failure(
    distributed: Distributed,
) -> None:
    stage = HalfStage({"line": "fp16"}, 4.0)
    scales = {"line": LossScale(value=2.0**18)}
    attach_loss_scales(stage, scales)
    before = stage.weight.clone()
    runner = runner_of(stage, distributed)
    result = run_step(runner, [toy_batch(3)], 1)
    assert torch.equal(stage.weight, before)
    assert result.skipped == 0
    assert result.figures["line/loss_scale"] == 2.0**18
    assert scales["line"].value == 2.0**17
    for step in range(2, 8):
        run_step(runner, [toy_batch(3)], step)
    assert not torch.equal(stage.weight, before)
    assert stage.trainables["line"].scheduler.last_epoch == scales["line"].taken


def test_loss_scales_are_saved_and_resumed(tmp_path: Path, distributed: Distributed) -> None:
    precision = {"generator": "fp16"}
    stages = []
    for name, stops in (("a", (6,)), ("b", (4, 6))):
        for max_steps in stops:
            trainer = {"max_steps": max_steps, "log_every_steps": 1, "validate_every_steps": 6}
            config = toy_config(tmp_path / name, precision=precision, trainer=trainer, optim=STEADY)
            stage, _ = fit_toy(config, distributed, stage_class=MixedStage)
        stages.append(stage)
    scales = [stage.trainables["generator"].loss_scale for stage in stages]
    assert scales[0] == scales[1] == LossScale(taken=6)
    for name, trainable in stages[0].trainables.items():
        other = stages[1].trainables[name].module.state_dict()
        torch.testing.assert_close(other, trainable.module.state_dict(), rtol=0, atol=0)
    assert run_rows(tmp_path / "a")[-1]["generator/loss_scale"] == 2.0**16


def test_networks_that_cannot_recompute_or_are_not_there_are_refused(
    tmp_path: Path, distributed: Distributed
) -> None:
    stage = ToyStage(toy_config(tmp_path), torch.device("cpu"))
    with pytest.raises(ValueError, match=r"activation_checkpointing: gpt is no trainable"):
        recompute_activations(stage.trainables, ["gpt"])
    with pytest.raises(ValueError, match="discriminator has no blocks"):
        recompute_activations(stage.trainables, ["discriminator"])
    config = toy_config(tmp_path, trainer={"compile": {"gpt": "default"}})
    with pytest.raises(CompileError, match=r"trainer\.compile\.gpt: no such trainable"):
        fit_toy(config, distributed)
