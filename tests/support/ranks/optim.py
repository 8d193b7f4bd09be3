"""Averages of weights, dry runs, probes and loss scales under every engine, on every rank."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from gsv2.data.stream.batch import Batch
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.dry_run import dry_run
from gsv2.training.engines.host_copies import copy_to_host
from gsv2.training.precision.loss_scale import LossScale
from gsv2.training.precision.policy import PrecisionPolicy
from gsv2.training.precision.probes import PrecisionProbes
from gsv2.training.prepare import attach_averages, attach_engines, attach_loss_scales
from gsv2.training.stage import Update
from gsv2.training.step import StepRunner
from gsv2.training.validation import averaged
from tests.support.engine_training import KINDS
from tests.support.joint_stage import SEED, JointStage, gpt_inputs, gpt_loss
from tests.support.run_step import run_step
from tests.support.toy_stage import NUM_SAMPLES, ToyStage, toy_batch, toy_config

ENGINES = ("plain", "zero0", "zero2", "zero3")
HALF_ENGINES = ("plain", "zero2", "zero3")
HALVES = ("bf16", "fp16")
HUGE_ENGINES = ("plain", "zero1", "zero2", "zero3")
FIT_SCALE = 2.0**10
"""At which no gradient overflows in fp16."""
HUGE_SCALE = 2.0**19
"""At which gradients overflow in fp16."""
HUGE_STEPS = 7


class AnyStage(JointStage):
    """Takes clips of any length, and runs its GPT in the dtype of its policy."""

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        batch = replace(batch, wave=batch.wave[..., :NUM_SAMPLES])
        with self.precision.autocast("gpt", torch.device("cpu")):
            loss = gpt_loss(self, self.trainables["gpt"], batch)
        yield Update("gpt", loss, {})
        yield from ToyStage.updates(self, batch, step)


def make(kind: str, half: str, ranks: Distributed, folder: Path) -> AnyStage:
    stage = AnyStage(folder / f"{kind}-{half}-{ranks.rank}")
    stage.precision = PrecisionPolicy({"gpt": half}, ("gpt", "losses"))
    for trainable in stage.trainables.values():
        trainable.ema_decay = 0.5
    attach_engines(stage.trainables, KINDS[kind], ranks)
    attach_averages(stage.trainables)
    return stage


def take_steps(runner: StepRunner, ranks: Distributed, first: int, count: int) -> None:
    for step in range(first, first + count):
        batches = [toy_batch(4 * step + 2 * i + ranks.rank) for i in range(2)]
        assert run_step(runner, batches, step).skipped == 0


def capture(stage: AnyStage) -> dict[str, Tensor]:
    """Return weights, moments and averages on the main rank. Collective."""
    tensors = {}
    for name, trainable in stage.trainables.items():
        state = trainable.engine.capture()
        averages = trainable.average.merge(state and state.weights, copy_to_host)
        if state is not None:
            tensors |= {f"{name}|weights|{key}": value for key, value in state.weights.items()}
            tensors |= {f"{name}|optimizer|{key}": value for key, value in state.optimizer.items()}
            tensors |= {f"{name}|average|{k}": v.clone() for k, v in averages.items()}
    return tensors


def logits(stage: AnyStage) -> Tensor:
    """Return what the GPT says in evaluation, through its engine."""
    trainable = stage.trainables["gpt"]
    trainable.engine.train(False)
    with torch.no_grad():
        output = trainable(gpt_inputs(stage, toy_batch(3)))
    trainable.engine.train(True)
    return torch.cat([table.flatten() for table in output.logits])


def check_averages(kind: str, ranks: Distributed, out: Path) -> None:
    """Check that averages are swapped in and out, are equal on all ranks, and disturb nothing."""
    stage = make(kind, "fp32", ranks, out)
    runner = StepRunner(stage, ranks, SEED)
    take_steps(runner, ranks, 1, 2)
    own = logits(stage)
    with averaged(stage):
        averaged_logits = [logits(stage) for _ in range(2)]
    assert torch.equal(logits(stage), own), f"{kind}: the weights did not come back"
    assert torch.equal(*averaged_logits)
    assert not torch.equal(averaged_logits[0], own)
    for others in ranks.gather(averaged_logits[0]):
        assert torch.equal(others, averaged_logits[0]), f"{kind}: the averages differ between ranks"
    before = capture(stage)
    config = toy_config(out / f"dry-{ranks.rank}")
    dry_run(config.data, stage, ranks, SEED)
    after = capture(stage)
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert torch.equal(after[name], value), f"{kind}: the dry run changed {name}"
    take_steps(runner, ranks, 3, 1)
    tensors = {**capture(stage), "logits": averaged_logits[0]}
    if ranks.is_main:
        save_file(tensors, out / f"{kind}.fp32")


def observed(stage: AnyStage, probes: PrecisionProbes) -> AnyStage:
    """Return the stage, whose losses the probes see."""
    of_stage = stage.updates

    def updates(batch: Batch, step: int) -> Iterator[Update]:
        for update in of_stage(batch, step):
            probes.see({f"the loss of {update.trainable}": update.loss, **update.metrics})
            yield update

    stage.updates = updates
    return stage


def check_half(kind: str, half: str, ranks: Distributed, out: Path) -> None:
    """Check that the GPT computes in half precision, and its loss does not, under any engine."""
    stage = make(kind, half, ranks, out)
    attach_loss_scales(stage, {name: LossScale(value=FIT_SCALE) for name in stage.trainables})
    modules = {name: trainable.module for name, trainable in stage.trainables.items()}
    probes = PrecisionProbes(stage.precision, modules)
    probes.attach()
    runner = StepRunner(observed(stage, probes), ranks, SEED)
    take_steps(runner, ranks, 1, 2)
    for name, trainable in stage.trainables.items():
        assert trainable.scheduler.last_epoch == 2, f"{kind}: an update of {name} was left out"
    probes.check()
    rows = {row.module: row for row in probes.table()}
    assert rows["gpt"].is_probed
    assert (rows["gpt"].parameters, rows["gpt"].computes_in) == ("fp32", half)
    assert rows["losses"].computes_in == "fp32"
    tensors = capture(stage)
    if ranks.is_main:
        save_file(tensors, out / f"{kind}.{half}")


def check_huge_scale(kind: str, ranks: Distributed, out: Path) -> None:
    """Check that a scale that is too large falls until updates are taken."""
    stage = make(kind, "fp16", ranks, out)
    scale = LossScale(value=HUGE_SCALE)
    attach_loss_scales(stage, {"gpt": scale})
    take_steps(StepRunner(stage, ranks, SEED), ranks, 1, HUGE_STEPS)
    halvings = math.log2(HUGE_SCALE / scale.value)
    assert halvings >= 2, f"{kind}: nothing overflowed"
    assert stage.trainables["gpt"].scheduler.last_epoch == HUGE_STEPS - halvings >= 3, halvings
    assert stage.trainables["generator"].loss_scale.taken == HUGE_STEPS
    tensors = capture(stage)
    if ranks.is_main:
        save_file(tensors, out / f"{kind}.huge")


def check(out: Path, ranks: Distributed) -> None:
    """Check what each engine must leave alone, and save the rest in `out`. Collective."""
    out.mkdir(exist_ok=True)
    for kind in ENGINES:
        check_averages(kind, ranks, out)
    for kind, half in itertools.product(HALF_ENGINES, HALVES):
        check_half(kind, half, ranks, out)
    for kind in HUGE_ENGINES:
        check_huge_scale(kind, ranks, out)
