"""A pass over the validation clips of all ranks."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from gsv2.data.batch import Batch
from gsv2.training.distributed import Distributed
from gsv2.training.metrics import WeightedMeans
from gsv2.training.random import seed_torch
from gsv2.training.stage import Stage


def validate(
    stage: Stage, batches: Iterable[Batch], distributed: Distributed, *, seed: int
) -> dict[str, float]:
    """Return `"validation/<trainable>/<term>"` -> mean over all targets. Collective.

    Networks are in evaluation mode inside and in training mode afterwards. Noise of a
    micro-batch comes from (seed, k), so every pass of a run uses the same.
    """
    means = WeightedMeans()
    set_training(stage, False)
    with torch.no_grad():
        for batch in batches:
            seed_torch(seed, "validation", batch.micro_batch)
            targets = stage.num_targets(batch)
            for term, value in stage.validate(batch.to(distributed.device)).items():
                means.add({term: value}, targets[term.partition("/")[0]] * batch.weight)
    set_training(stage, True)
    return {f"validation/{name}": value for name, value in means.reduce(distributed).items()}


def set_training(stage: Stage, is_training: bool) -> None:
    """Put every network into training or evaluation mode."""
    for trainable in stage.trainables.values():
        (trainable.engine or trainable.module).train(is_training)
