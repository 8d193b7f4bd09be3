from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gsv2.data.stream.batch import Batch
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.engines.contract import StageError
from gsv2.training.engines.engine import EngineError
from gsv2.training.guard import UpdateGuard
from gsv2.training.optim import OptimConfig, make_optimizer
from gsv2.training.prepare import attach_engines
from gsv2.training.schedule import make_scheduler
from gsv2.training.stage import Trainable, Update
from gsv2.training.step import StepRunner
from tests.support.run_step import run_step
from tests.support.toy_stage import ToyStage, toy_batch, toy_config

CPU = torch.device("cpu")


class LineStage:
    """Regression without noise, so that plain torch can be the reference."""

    def __init__(self, max_grad_norm: float = 1e9) -> None:
        torch.manual_seed(0)
        module = nn.Linear(8, 1)
        config = OptimConfig(lr=0.1, schedule="constant")
        optimizer = make_optimizer(module, config)
        scheduler = make_scheduler(optimizer, config, 10)
        self.trainables = {
            "line": Trainable(
                kind="line",
                module=module,
                config={},
                optimizer=optimizer,
                scheduler=scheduler,
                max_grad_norm=max_grad_norm,
            )
        }

    @property
    def weight(self) -> Tensor:
        return self.trainables["line"].module.weight

    def num_targets(self, batch: Batch) -> Mapping[str, int]:
        return {"line": batch.num_clips}

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        loss = (self.trainables["line"](batch.wave[:, 0]) - 1).square().mean()
        yield Update("line", loss, {"line/error": loss.detach().sqrt()})


def runner_of(stage: Any, distributed: Distributed, guard: UpdateGuard | None = None) -> StepRunner:
    """Return the runner of a stage, with engines."""
    attach_engines(stage.trainables, {}, distributed)
    return StepRunner(stage, distributed, 0, guard)


def nan_batch(k: int) -> Batch:
    batch = toy_batch(k)
    return replace(batch, wave=batch.wave * float("nan"))


def test_a_step_over_uneven_micro_batches_equals_one_over_all_their_clips(
    distributed: Distributed,
) -> None:
    stage = LineStage(max_grad_norm=0.5)
    reference = nn.Linear(8, 1)
    reference.load_state_dict(stage.trainables["line"].module.state_dict())
    optimizer = make_optimizer(reference, OptimConfig(lr=0.1))
    batches = [toy_batch(k) for k in (3, 0, 1)]  # 4, 1 and 2 clips

    result = run_step(runner_of(stage, distributed), batches, 1)

    waves = torch.cat([b.wave for b in batches])[:, 0]
    loss = (reference(waves) - 1).square().mean()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(reference.parameters(), 0.5)
    optimizer.step()
    torch.testing.assert_close(stage.weight, reference.weight)
    assert result.means.reduce(distributed)["line/loss"] == pytest.approx(loss.item())
    assert float(result.figures["line/grad_norm"]) == pytest.approx(norm.item())


def test_a_micro_batch_of_weight_zero_runs_but_does_not_count(distributed: Distributed) -> None:
    with_standin, without = LineStage(), LineStage()
    standin = replace(toy_batch(2), weight=0.0)
    run_step(runner_of(with_standin, distributed), [toy_batch(1), standin], 1)
    run_step(runner_of(without, distributed), [toy_batch(1)], 1)
    torch.testing.assert_close(with_standin.weight, without.weight)


def test_a_step_of_which_nothing_could_be_read_is_skipped(distributed: Distributed) -> None:
    stage = LineStage()
    before = stage.weight.clone()
    result = run_step(runner_of(stage, distributed), [replace(toy_batch(1), weight=0.0)], 1)
    assert result.skipped == 1
    assert torch.equal(stage.weight, before)


def test_an_update_that_is_not_finite_is_left_out_whole(
    distributed: Distributed, caplog: pytest.LogCaptureFixture
) -> None:
    stage = LineStage()
    runner = runner_of(stage, distributed)
    run_step(runner, [toy_batch(1)], 1)
    before = stage.weight.clone()
    trainable = stage.trainables["line"]
    moments = {k: v.clone() for k, v in trainable.optimizer.state[stage.weight].items()}
    with caplog.at_level(logging.WARNING):
        assert run_step(runner, [toy_batch(2), nan_batch(3)], 2).skipped == 1
    assert "step 2: update of line left out" in caplog.text
    assert torch.equal(stage.weight, before)
    torch.testing.assert_close(trainable.optimizer.state[stage.weight], moments, rtol=0, atol=0)
    assert trainable.scheduler.last_epoch == 1
    assert run_step(runner, [toy_batch(3)], 3).skipped == 0
    assert stage.weight.isfinite().all()


@pytest.mark.parametrize("loss", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("weight", [1.0, 0.0])
def test_a_loss_that_is_not_finite_is_no_update_even_if_its_gradients_are(
    distributed: Distributed, loss: float, weight: float
) -> None:
    class Odd(LineStage):
        def updates(self, batch: Batch, step: int) -> Iterator[Update]:
            for update in super().updates(batch, step):
                yield update._replace(loss=update.loss + (loss if batch.micro_batch == 3 else 0.0))

    stage = Odd()
    before = stage.weight.clone()
    batches = [replace(toy_batch(3), weight=weight), toy_batch(2)]
    assert run_step(runner_of(stage, distributed), batches, 1).skipped == 1
    assert torch.equal(stage.weight, before)


def test_losses_are_judged_where_spikes_are(distributed: Distributed) -> None:
    class Spiky(LineStage):
        def updates(self, batch: Batch, step: int) -> Iterator[Update]:
            for update in super().updates(batch, step):
                yield update._replace(loss=update.loss + (1e6 if batch.micro_batch == 3 else 0.0))

    for factor, spikes in ((0.0, 0), (10.0, 1)):
        runner = runner_of(Spiky(), distributed, guard=UpdateGuard(factor, 1))
        assert [run_step(runner, [toy_batch(k)], k).spikes for k in (1, 2, 3)] == [0, 0, spikes]


def test_noise_comes_from_the_micro_batch_and_the_phase(
    tmp_path: Path, distributed: Distributed
) -> None:
    class Recording(ToyStage):
        def updates(self, batch: Batch, step: int) -> Iterator[Update]:
            for phase, update in enumerate(super().updates(batch, step)):
                noise[batch.micro_batch, phase] = torch.rand(()).item()
                yield update

    noise: dict[tuple[int, int], float] = {}
    stage = Recording(toy_config(tmp_path), CPU)
    runner = runner_of(stage, distributed)
    run_step(runner, [toy_batch(1), toy_batch(2)], 1)
    first = dict(noise)
    torch.manual_seed(1)
    run_step(runner_of(stage, distributed), [toy_batch(2), toy_batch(1)], 2)
    assert len(set(first.values())) == 4
    assert noise == first


def test_gradients_that_leak_into_another_network_are_an_error(
    tmp_path: Path, distributed: Distributed
) -> None:
    class Leaky(ToyStage):
        def updates(self, batch: Batch, step: int) -> Iterator[Update]:
            fake = self.trainables["generator"](batch.wave[:, 0])
            yield Update("discriminator", self.trainables["discriminator"](fake).mean(), {})

    runner = runner_of(Leaky(toy_config(tmp_path), CPU), distributed)
    with pytest.raises(EngineError, match="sends gradients through generator's engine"):
        run_step(runner, [toy_batch(1)], 1)


def test_micro_batches_at_different_updates_are_an_error(
    tmp_path: Path, distributed: Distributed
) -> None:
    class Uneven(ToyStage):
        def updates(self, batch: Batch, step: int) -> Iterator[Update]:
            yield from islice(super().updates(batch, step), batch.micro_batch)

    runner = runner_of(Uneven(toy_config(tmp_path), CPU), distributed)
    with pytest.raises(StageError, match="update 1 of the micro-batches differs"):
        run_step(runner, [toy_batch(1), toy_batch(2)], 1)
