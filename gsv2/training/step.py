"""One optimizer step over the micro-batches of all ranks."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from gsv2.data.batch import Batch
from gsv2.training.distributed import Distributed
from gsv2.training.metrics import WeightedMeans
from gsv2.training.random import seed_torch
from gsv2.training.stage import Stage, Update

logger = logging.getLogger(__name__)


class StageError(RuntimeError):
    """A stage that breaks the contract of `gsv2.training.stage`."""


@dataclass(kw_only=True)
class StepResult:
    """What one optimizer step did."""

    means: WeightedMeans = field(default_factory=WeightedMeans)
    """Metrics over the targets of the step, not yet reduced over the ranks."""
    figures: dict[str, Tensor | float] = field(default_factory=dict)
    """Gradient norms and learning rates, the same on all ranks."""
    skipped: int = 0
    """Updates left out."""


class _Slot(NamedTuple):
    """One micro-batch on its way through the phases of a step."""

    micro_batch: int
    updates: Iterator[Update]
    shares: Mapping[str, float]
    """Trainable -> this micro-batch's targets * ranks / targets of the step."""
    targets: Mapping[str, int]


class StepRunner:
    """Advances a stage's updates of all micro-batches in lock-step, phase by phase.

    Phase p is the p-th update of every micro-batch: forward, backward of the loss weighted by
    its share of the global targets, then one clipped optimizer step. Engines synchronise in the
    last backward of a phase only, so graphs may be kept from one phase to the next.
    """

    def __init__(self, stage: Stage, distributed: Distributed, seed: int) -> None:
        self._stage = stage
        self._distributed = distributed
        self._seed = seed
        self._engines = {name: t.engine or t.module for name, t in stage.trainables.items()}
        self._is_first = True

    def run(self, batches: Sequence[Batch], step: int) -> StepResult:
        """Take one step. Collective.

        Args:
            batches: this rank's micro-batches of the step, on the host; the same number on
                every rank.
            step: number of the step, from 1.
        """
        result = StepResult()
        slots = self._make_slots(batches, step)
        if slots is None:
            logger.warning("step %d: no clip of any micro-batch could be read", step)
            result.skipped = 1
            return result
        with self._distributed.no_sync(list(self._engines.values())):
            for phase in itertools.count():
                name, losses = self._accumulate(slots, phase, result.means)
                if name is None:
                    break
                is_taken = self._update(name, losses, result.figures)
                if not is_taken:
                    result.skipped += 1
                    logger.warning("step %d: update of %s left out: not finite", step, name)
        self._is_first = False
        return result

    def _make_slots(self, batches: Sequence[Batch], step: int) -> list[_Slot] | None:
        """Weigh the micro-batches; None if no rank has a target in this step.

        A micro-batch of weight 0 runs as well: DDP and codebooks wait for every rank.
        """
        names = list(self._stage.trainables)
        none = dict.fromkeys(names, 0)
        targets = [self._stage.num_targets(b) if b.weight else none for b in batches]
        sums = [float(sum(of_batch[name] for of_batch in targets)) for name in names]
        totals = self._distributed.sum(sums)
        if not any(totals):
            return None
        weights = {
            name: self._distributed.world / total if total else 0.0
            for name, total in zip(names, totals, strict=True)
        }
        return [
            _Slot(
                micro_batch=batch.micro_batch,
                updates=self._stage.updates(batch.to(self._distributed.device), step),
                shares={name: of_batch[name] * weights[name] for name in names},
                targets=of_batch,
            )
            for batch, of_batch in zip(batches, targets, strict=True)
        ]

    def _accumulate(
        self, slots: Sequence[_Slot], phase: int, means: WeightedMeans
    ) -> tuple[str | None, list[Tensor]]:
        """Bring every micro-batch through one phase.

        Returns:
            The phase's trainable, None when the stage has no further update; and its losses.
        """
        yielded: list[str | None] = []
        losses: list[Tensor] = []
        for slot in slots:
            seed_torch(self._seed, slot.micro_batch, phase)
            update = next(slot.updates, None)
            yielded.append(update.trainable if update else None)
            is_last = len(yielded) == len(slots)
            if is_last:
                self._check_phase(yielded, phase)
            if update is None:
                continue
            name = update.trainable
            means.add(_with_loss(update), slot.targets[name])
            losses.append(update.loss.detach())
            sync = self._engines[name] if is_last else None
            self._distributed.backward(update.loss * slot.shares[name], sync)
        return yielded[0], losses

    def _update(
        self, name: str, losses: Sequence[Tensor], figures: dict[str, Tensor | float]
    ) -> bool:
        """Step one trainable; return False, alike on all ranks, if it was left out."""
        trainable = self._stage.trainables[name]
        if self._is_first:
            self._check_gradients(name)
        norm = clip_grad_norm_(trainable.module.parameters(), trainable.max_grad_norm)
        figures[f"{name}/grad_norm"] = norm
        figures[f"{name}/lr"] = trainable.optimizer.param_groups[0]["lr"]
        is_finite = bool(torch.isfinite(torch.stack([norm, *losses])).all())
        is_taken = self._distributed.sum([float(not is_finite)]) == [0.0]
        if is_taken:
            trainable.optimizer.step()
            trainable.scheduler.step()
        trainable.optimizer.zero_grad(set_to_none=True)
        return is_taken

    def _check_phase(self, yielded: Sequence[str | None], phase: int) -> None:
        """Check that all micro-batches are at the same update; across ranks in the first step."""
        names = set(yielded)
        if self._is_first:
            names = set().union(*self._distributed.gather(names))
        if len(names) != 1:
            raise StageError(f"update {phase} of the micro-batches differs: {names}")

    def _check_gradients(self, name: str) -> None:
        """Check that an update trains all of its own network and nothing of the others."""
        for other, trainable in self._stage.trainables.items():
            for key, parameter in trainable.module.named_parameters():
                if other == name and parameter.requires_grad and parameter.grad is None:
                    raise StageError(f"{name}: parameter {key} got no gradient; drop or freeze it")
                if other != name and parameter.grad is not None:
                    raise StageError(
                        f"the update of {name} left a gradient in {other}.{key}; "
                        "use the other network inside `frozen()`, or detach"
                    )


def _with_loss(update: Update) -> dict[str, Tensor]:
    return {f"{update.trainable}/loss": update.loss, **update.metrics}
