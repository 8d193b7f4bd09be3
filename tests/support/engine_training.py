"""A `JointStage` under its engines on one rank, and the steps that it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers.models.qwen2.modeling_qwen2 import Qwen2MLP

from gsv2.data.stream.batch import Batch
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.engines.engine import EngineConfig
from gsv2.training.guard import Refusal, UpdateGuard
from gsv2.training.prepare import attach_engines, recompute_activations
from gsv2.training.step import StepRunner
from tests.support.joint_stage import SEED, JointStage, nan_batch
from tests.support.run_step import run_step
from tests.support.toy_stage import toy_batch

KINDS: Mapping[str, Mapping[str, EngineConfig]] = {
    "plain": dict.fromkeys(("gpt", "discriminator", "generator"), EngineConfig(kind="ddp")),
    **{
        f"zero{stage}": dict.fromkeys(
            ("gpt", "discriminator", "generator"), EngineConfig(kind="deepspeed", zero_stage=stage)
        )
        for stage in range(4)
    },
    "mixed": {
        "gpt": EngineConfig(kind="deepspeed", zero_stage=2),
        "discriminator": EngineConfig(kind="ddp"),
        "generator": EngineConfig(kind="ddp"),
    },
}
"""Name -> `engines` section."""
NOT_FINITE = tuple(nan_batch(k) if k == 9 else toy_batch(k) for k in range(8, 10))
"""Of two ranks, one meets a value that is not finite."""
REFUSED = tuple(toy_batch(k) for k in range(2))
BROKEN = tuple(
    (tuple(toy_batch(k) for k in range(6, 8)), value) for value in (torch.inf, torch.nan)
)
"""Losses are finite here, but one element of a gradient is not, on one rank and of one batch."""
TAKEN = tuple(
    tuple(toy_batch(k) for k in span) for span in (range(6), range(10, 12), range(14, 18))
)
"""On two ranks an accumulation of 3 micro-batches, of 1 and of 2, uneven all of them."""
EARLY_STEPS = (TAKEN[0], NOT_FINITE, REFUSED, *(batches for batches, _ in BROKEN), TAKEN[1])
LATE_STEPS = (TAKEN[2],)


class PickyGuard(UpdateGuard):
    """Refuses finite updates too."""

    is_refusing = False

    def judge(self, name: str, norm: float, loss: float = 0.0) -> Refusal | None:
        refusal = super().judge(name, norm, loss)
        return Refusal("told to", is_spike=True) if self.is_refusing else refusal


@dataclass
class Training:
    """A stage under its engines, on one rank."""

    stage: JointStage
    runner: StepRunner
    guard: PickyGuard
    ranks: Distributed

    def run(self, steps: Sequence[Sequence[Batch]]) -> None:
        """Take this rank's share of the steps."""
        for batches in steps:
            self.guard.is_refusing = batches is REFUSED
            broken = [value for others, value in BROKEN if others is batches]
            with ExitStack() as stack:
                if broken and self.ranks.rank == self.ranks.world - 1:
                    stack.enter_context(broken_gradients(self.stage, broken[0]))
                result = run_step(self.runner, batches[self.ranks.rank :: self.ranks.world], 1)
            assert result.skipped == (3 if broken or batches is NOT_FINITE else 0)
            assert result.spikes == (3 if batches is REFUSED else 0)


@contextmanager
def broken_gradients(stage: JointStage, value: float) -> Iterator[None]:
    """Put `value` into the first gradient of each network's last parameter."""
    with ExitStack() as stack:
        for trainable in stage.trainables.values():
            parameter = list(trainable.module.parameters())[-1]
            stack.callback(parameter.register_hook(Breaker(value)).remove)
        yield


class Breaker:
    """A hook that breaks one element of one gradient."""

    def __init__(self, value: float) -> None:
        self._value: float | None = value

    def __call__(self, gradient: Tensor) -> Tensor:
        broken = gradient.clone()
        if self._value is not None:
            broken.view(-1)[0] = self._value
        self._value = None
        return broken


class CountedRuns:
    """Counts how often a block of a GPT runs within a backward pass."""

    def __init__(self, gpt: nn.Module) -> None:
        self.in_backward = 0
        block = next(m for m in gpt.modules() if isinstance(m, Qwen2MLP))
        block.register_forward_pre_hook(self._count)  # a second pass ends before its last layer

    def _count(self, *_: object) -> None:
        self.in_backward += torch._C._current_graph_task_id() != -1


def make(
    kind: str,
    ranks: Distributed,
    out: Path,
    stage_class: type[JointStage] = JointStage,
    recomputed: Sequence[str] = (),
) -> Training:
    stage = stage_class(out / f"{kind}-{ranks.rank}")
    recompute_activations(stage.trainables, recomputed)
    attach_engines(stage.trainables, KINDS[kind], ranks)
    guard = PickyGuard()
    return Training(stage, StepRunner(stage, ranks, SEED, guard), guard, ranks)
