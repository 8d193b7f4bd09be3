"""Step of the optimizers over the micro-batches of all ranks."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from gsv2.data.stream.batch import Batch
from gsv2.seeds import seed_torch
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.engines.contract import StageError
from gsv2.training.engines.engine import Engine
from gsv2.training.guard import Refusal, UpdateGuard
from gsv2.training.stage import Stage, Update
from gsv2.training.telemetry.metrics import WeightedMeans

logger = logging.getLogger(__name__)

Updates = Callable[[Batch, int], Iterator[Update]]
"""Micro-batch on the device, step -> its updates, as `Stage.updates` yields them."""


@dataclass(kw_only=True)
class StepResult:
    """Result of one optimizer step: what it read and did."""

    batches: Sequence[Batch] = ()
    """This rank's micro-batches."""
    means: WeightedMeans = field(default_factory=WeightedMeans)
    """Metrics over the targets of the step, not yet reduced over the ranks."""
    figures: dict[str, Tensor | float] = field(default_factory=dict)
    """Gradient norms and learning rates, the same on all ranks."""
    skipped: int = 0
    """Updates left out because they were not finite, or for want of data."""
    spikes: int = 0
    """Updates left out as spikes."""
    taken: set[str] = field(default_factory=set)
    """Trainables whose update was taken, or left out by their loss scale's own doing."""
    left_out: set[str] = field(default_factory=set)
    """Trainables of which an update was left out."""


class _MicroBatchUpdates(NamedTuple):
    """One micro-batch on its way through the phases of a step."""

    micro_batch: int
    updates: Iterator[Update]
    shares: Mapping[str, float]
    """Trainable -> this micro-batch's targets * ranks / targets of the step."""
    targets: Mapping[str, int]


class _Accumulated(NamedTuple):
    """The gradients of one phase are there."""

    trainable: str
    finish_loss: Callable[[], Tensor] | None
    """Returns the mean loss [] over the micro-batches of all ranks, in float64; None if nobody
    judges it."""


class StepRunner:
    """Advances a stage's updates of all micro-batches in lock-step, phase by phase.

    Phase p is the p-th update of every micro-batch: forward, backward of the loss weighted by
    its share of the global targets, then one clipped optimizer step. Engines synchronise in the
    last backward of a phase only, so graphs may be kept from one phase to the next.
    """

    def __init__(
        self,
        stage: Stage,
        distributed: Distributed,
        seed: int,
        guard: UpdateGuard | None = None,
    ) -> None:
        """Make ready for steps.

        Args:
            stage: stage with its engines.
            guard: judges the updates; None refuses only those that are not finite.
        """
        self._stage = stage
        self._distributed = distributed
        self._seed = seed
        self._guard = guard or UpdateGuard()

    def count_targets(self, batches: Sequence[Batch]) -> list[float]:
        """Return the targets of this rank's micro-batches, for each trainable."""
        counted = [self._stage.num_targets(batch) for batch in batches if batch.weight]
        return [float(sum(of[name] for of in counted)) for name in self._stage.trainables]

    def phases(
        self,
        batches: Sequence[Batch],
        step: int,
        totals: Sequence[float],
        result: StepResult,
        updates: Updates | None = None,
    ) -> Iterator[str]:
        """Take one step. Collective.

        Args:
            batches: this rank's micro-batches of the step, on the host; the same number on
                every rank.
            step: number of the step, from 1.
            totals: `count_targets` summed over the ranks.
            result: record of the step, which is filled.
            updates: used in place of the stage's own.

        Yields:
            A trainable whose gradients are there, or on their way on the device; asked for the
            next one, it is updated.
        """
        slots = self._make_slots(batches, step, totals, updates or self._stage.updates)
        if slots is None:
            logger.warning("step %d: no clip of any micro-batch could be read", step)
            result.skipped = 1
            return
        for phase in itertools.count():
            accumulated = self._accumulate(slots, phase, result.means)
            if accumulated is None:
                return
            name = accumulated.trainable
            yield name
            refusal = self._update(accumulated, result.figures)
            (result.taken if refusal is None else result.left_out).add(name)
            if refusal is not None:
                result.spikes += refusal.is_spike
                result.skipped += not refusal.is_spike
                if refusal.reason:
                    logger.warning("step %d: update of %s left out: %s", step, name, refusal.reason)

    def _make_slots(
        self, batches: Sequence[Batch], step: int, totals: Sequence[float], updates: Updates
    ) -> list[_MicroBatchUpdates] | None:
        """Weigh the micro-batches; None if no rank has a target in this step.

        A micro-batch of weight 0 runs as well: DDP and codebooks wait for every rank.
        """
        names = list(self._stage.trainables)
        none = dict.fromkeys(names, 0)
        targets = [self._stage.num_targets(b) if b.weight else none for b in batches]
        if not any(totals):
            return None
        weights = {
            name: self._distributed.world / total if total else 0.0
            for name, total in zip(names, totals, strict=True)
        }
        return [
            _MicroBatchUpdates(
                micro_batch=batch.micro_batch,
                updates=updates(batch.to(self._distributed.device), step),
                shares={name: of_batch[name] * weights[name] for name in names},
                targets=of_batch,
            )
            for batch, of_batch in zip(batches, targets, strict=True)
        ]

    def _accumulate(
        self, slots: Sequence[_MicroBatchUpdates], phase: int, means: WeightedMeans
    ) -> _Accumulated | None:
        """Bring every micro-batch through one phase; None if the stage has no further update."""
        yielded: list[str | None] = []
        losses: list[Tensor] = []
        finish_loss: Callable[[], Tensor] | None = None
        for slot in slots:
            seed_torch(self._seed, slot.micro_batch, phase)
            update = next(slot.updates, None)
            yielded.append(update.trainable if update else None)
            is_last = len(yielded) == len(slots)
            if is_last and len(names := set(yielded)) != 1:
                raise StageError(f"update {phase} of the micro-batches differs: {names}")
            if update is None:
                continue
            name = update.trainable
            means.add({f"{name}/loss": update.loss, **update.metrics}, slot.targets[name])
            losses.append(update.loss.detach())
            if is_last and self._guard.judges_losses:
                finish_loss = self._start_loss(losses)
            engine, scale = self._engine(name), self._stage.trainables[name].loss_scale
            if scale is not None:
                engine.loss_scale = scale.value
            share = _nan_unless_finite(slot.shares[name], update.loss)
            engine.backward(update.loss * share, is_last=is_last)
        trainable = yielded[0]
        return None if trainable is None else _Accumulated(trainable, finish_loss)

    def _start_loss(self, losses: Sequence[Tensor]) -> Callable[[], Tensor]:
        """Begin to average the losses over the ranks, which have equally many.

        The last backward pass, which comes next, hides the message.
        """
        mean = torch.stack(list(losses)).double().mean()
        return self._distributed.start_sum(mean / self._distributed.world)

    def _update(
        self, accumulated: _Accumulated, figures: dict[str, Tensor | float]
    ) -> Refusal | None:
        """Step one trainable; return why it was left out, alike on all ranks."""
        name = accumulated.trainable
        trainable, engine = self._stage.trainables[name], self._engine(name)
        norm = engine.grad_norm()
        figures[f"{name}/grad_norm"] = norm
        figures[f"{name}/lr"] = trainable.optimizer.param_groups[0]["lr"]
        values = [norm.double()]
        if accumulated.finish_loss is not None:
            values.append(accumulated.finish_loss())
        refusal = self._guard.judge(name, *torch.stack(values).tolist())  # waits for the device
        if refusal is None:
            engine.step(trainable.max_grad_norm)
            trainable.scheduler.step()
            if trainable.average is not None:
                trainable.average.update(trainable.scheduler.last_epoch)
        else:
            engine.skip()
        if trainable.loss_scale is None or (refusal and refusal.is_spike):
            return refusal
        figures[f"{name}/loss_scale"] = trainable.loss_scale.value
        is_own_doing = trainable.loss_scale.update(refusal is None)
        return None if is_own_doing else refusal

    def _engine(self, name: str) -> Engine:
        engine = self._stage.trainables[name].engine
        assert engine is not None, "engines are attached before the first step"
        return engine


def _nan_unless_finite(share: float, loss: Tensor) -> Tensor:
    """Return `share` []; NaN if the loss is not finite.

    No gradient is finite then, on any rank: the norm tells them all, and no message need do so.
    """
    return share + 0.0 * loss.detach()
