"""Dry run of the largest micro-batches before step 1: better now than after a day.

Forward and backward passes of every update, on every rank, with as many micro-batches as a step
has; the updates are refused. Weights, moments, buffers (codebooks move in forward passes), loss
scales and random numbers are as before.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch

from gsv2.data.config import DataConfig
from gsv2.data.stream.batch import Batch
from gsv2.data.stream.extreme_batches import extreme_batches
from gsv2.seeds import RandomState
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.engines.engine import Engine
from gsv2.training.guard import Refusal, UpdateGuard
from gsv2.training.inspection import StepInspection
from gsv2.training.precision.watch import PrecisionWatch
from gsv2.training.stage import Stage, Trainable
from gsv2.training.step import StepResult, StepRunner
from gsv2.training.telemetry.memory_peak import begin_peak, read_peak

_GIB = 2**30

logger = logging.getLogger(__name__)


class MemoryBudgetError(ValueError):
    """The largest micro-batch that the budget allows does not fit into memory."""


@runtime_checkable
class VectorReadingStage(Protocol):
    """A stage that may read vectors of texts, of a frozen encoder."""

    @property
    def text_dim(self) -> int | None:
        """Dimension of the vectors; None if it reads the texts themselves."""


def dry_run(
    data: DataConfig,
    stage: Stage,
    distributed: Distributed,
    seed: int,
    precision: PrecisionWatch | None = None,
) -> dict[str, float]:
    """Try the largest micro-batches. Collective.

    Args:
        data: the section whose budget they fill.
        stage: stage with its engines, in training mode.
        precision: is shown every loss.

    Returns:
        What is extreme about the micro-batch -> most memory that a rank needed, in GiB.

    Raises:
        MemoryBudgetError: out of memory; names the budget.
    """
    num_local = data.micro_batches_per_step // distributed.world
    peaks = {}
    for name, batch in largest_batches(data, stage).items():
        size = f"{name}: {num_local} micro-batches of {batch.num_clips} clips"
        batches = [replace(batch, micro_batch=k) for k in range(num_local)]
        with _untouched(stage, distributed.device):
            try:
                peak = _try(stage, distributed, seed, batches, precision)
            except torch.OutOfMemoryError as error:
                raise MemoryBudgetError(_advice(data, size, distributed.device)) from error
        peaks[name] = max(distributed.gather(peak)) / _GIB
        logger.info("dry run, %s: %.2f GiB at the peak", size, peaks[name])
    return peaks


def largest_batches(data: DataConfig, stage: Stage) -> dict[str, Batch]:
    """Return what is extreme -> micro-batch 0 of a stage that fills the budget so."""
    num_codebooks = stage.codes.num_codebooks if stage.codes else 0
    text_dim = stage.text_dim if isinstance(stage, VectorReadingStage) else None
    return extreme_batches(data, stage.members, num_codebooks, text_dim)


def _try(
    stage: Stage,
    distributed: Distributed,
    seed: int,
    batches: Sequence[Batch],
    precision: PrecisionWatch | None,
) -> float:
    """Return the peak of memory of one step, in bytes.

    The moments that the first step will take are held meanwhile. On a CPU such memory costs
    nothing as long as it is not written to, and does not count: it is added.
    """
    device = distributed.device
    begin_peak(device)
    moments = sum(
        _engine(trainable).pending_moment_bytes() for trainable in stage.trainables.values()
    )
    to_come = torch.empty(moments, dtype=torch.uint8, device=device)
    step = stage.full_step
    runner = StepRunner(stage, distributed, seed, RefuseAll())
    totals = distributed.sum(runner.count_targets(batches))
    inspection = StepInspection(stage, distributed, len(batches), precision)
    try:
        for name in runner.phases(batches, step, totals, StepResult(), inspection.updates):
            inspection.check_gradients(name)
    finally:
        inspection.close()
    del to_come
    return read_peak(device) + (moments if device.type == "cpu" else 0)


def _engine(trainable: Trainable) -> Engine:
    assert trainable.engine is not None, "engines come first"
    return trainable.engine


def _advice(data: DataConfig, size: str, device: torch.device) -> str:
    budget = "max_frames" if data.max_frames is not None else "max_tokens"
    return (
        f"out of memory on {device} in the dry run with {size}: lower data.{budget} "
        f"({getattr(data, budget)}) or data.max_clip_sec ({data.max_clip_sec}), or list the "
        "network in trainer.activation_checkpointing"
    )


@contextmanager
def _untouched(stage: Stage, device: torch.device) -> Iterator[None]:
    """Put buffers and random numbers back, and leave no gradient."""
    networks = [trainable.module for trainable in stage.trainables.values()]
    networks += stage.precision.frozen.values()
    buffers = [buffer for network in networks for buffer in network.buffers()]
    kept = [buffer.clone() for buffer in buffers]
    noise = RandomState.of(device)
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(buffers, kept, strict=True):
                buffer.copy_(value)
        noise.restore()


class RefuseAll(UpdateGuard):
    """Lets no update happen, without a word."""

    def judge(self, name: str, norm: float, loss: float = 0.0) -> Refusal | None:
        """Refuse it."""
        return Refusal(reason="", is_spike=False)
