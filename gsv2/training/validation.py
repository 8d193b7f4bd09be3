"""Validation: a pass over the held-out clips of all ranks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from gsv2.data.stream.batch import Batch
from gsv2.seeds import seed_torch
from gsv2.training.distributed.agreement import RankAgreement
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.stage import Stage
from gsv2.training.telemetry.metrics import WeightedMeans

_END: Any = object()


def validate(
    stage: Stage,
    batches: Iterable[Batch],
    distributed: Distributed,
    *,
    seed: int,
    agreement: RankAgreement | None = None,
) -> dict[str, float]:
    """Return `"validation/<trainable>/<term>"` -> mean over all targets. Collective.

    Networks are in evaluation mode inside, with the averages of their weights where these are
    kept, and as they were afterwards. Noise of a micro-batch comes from (seed, k), so every pass
    of a run uses the same. With `agreement`, the
    ranks may leave or fail at any batch, together.

    Raises:
        StopAgreed: a rank was told to leave.
    """
    means = WeightedMeans()
    stream = iter(batches) if agreement is None else _agreed(iter(batches), agreement)
    set_training(stage, False)
    with torch.no_grad(), averaged(stage):
        for batch in stream:
            seed_torch(seed, "validation", batch.micro_batch)
            targets = stage.num_targets(batch)
            for term, value in stage.validate(batch.to(distributed.device)).items():
                means.add({term: value}, targets[term.partition("/")[0]] * batch.weight)
    set_training(stage, True)
    return {f"validation/{name}": value for name, value in means.reduce(distributed).items()}


def _agreed(batches: Iterator[Batch], agreement: RankAgreement) -> Iterator[Batch]:
    """Yield batches until the ranks' common end; each one is a place to leave."""
    while (batch := agreement.take(lambda: next(batches, _END))) is not _END:
        yield batch


@contextmanager
def averaged(stage: Stage) -> Iterator[None]:
    """Put the averages of the weights, where they are kept, into the networks. Collective."""
    with ExitStack() as stack:
        for trainable in stage.trainables.values():
            if trainable.average is not None:
                stack.enter_context(trainable.average.swapped_in())
        yield


def set_training(stage: Stage, is_training: bool) -> None:
    """Put every network into training or evaluation mode."""
    for trainable in stage.trainables.values():
        (trainable.engine or trainable.module).train(is_training)
