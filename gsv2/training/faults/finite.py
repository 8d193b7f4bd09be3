"""Weights that are not finite: a run never ends with them as its result."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from gsv2.training.distributed.ranks import Distributed
from gsv2.training.guard import TrainingError
from gsv2.training.stage import Trainable


def check_weights(trainables: Mapping[str, Trainable], distributed: Distributed) -> None:
    """Check the weights and buffers that a run is about to save as its last ones. Collective.

    Raises:
        TrainingError: names the first tensor that holds NaN or infinity.
    """
    for found in distributed.gather(_first_not_finite(trainables)):
        if found is not None:
            raise TrainingError(
                f"{found} holds values that are not finite: they are not saved as the result of "
                "this run; look at the data and at quarantine.jsonl"
            )


def _first_not_finite(trainables: Mapping[str, Trainable]) -> str | None:
    for name, trainable in trainables.items():
        module = trainable.module
        for key, tensor in chain(module.named_parameters(), module.named_buffers()):
            if tensor.is_floating_point() and not bool(tensor.detach().isfinite().all()):
                return f"{name}.{key}"
    return None
