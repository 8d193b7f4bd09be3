"""Validation: a pass over the held-out clips of all ranks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from gsv2.data.stream.batch import Batch
from gsv2.seeds import seed_torch
from gsv2.training.distributed.agreement import RankAgreement
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.listening import ListeningTest, listening_test_of
from gsv2.training.stage import Figure, Stage, Trainable
from gsv2.training.telemetry.metrics import WeightedMeans, merge_sums

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

    With those of the stage's listening test, if it has one, as `"validation/<figure>"`.
    Networks are in evaluation mode inside, with the averages of their weights where these are
    kept, and as they were afterwards. Noise of a micro-batch comes from (seed, k), so every pass
    of a run uses the same. With `agreement`, the
    ranks may leave or fail at any batch, together.

    Raises:
        StopAgreed: a rank was told to leave.
    """
    means = WeightedMeans()
    stream = iter(batches) if agreement is None else _agreed(iter(batches), agreement)
    test = listening_test_of(stage)
    offered: Sequence[Any] = ()
    set_training(stage, False)
    with torch.no_grad(), averaged(stage):
        for batch in stream:
            if test is not None:
                offered = test.choose([*offered, *test.candidates(batch)])
            seed_torch(seed, "validation", batch.micro_batch)
            targets = stage.num_targets(batch)
            for term, value in stage.validate(batch.to(distributed.device)).items():
                of_loss = targets[term.partition("/")[0]]
                mean, weight = value if isinstance(value, Figure) else (value, of_loss)
                means.add({term: mean}, weight * batch.weight)
        figures = means.reduce(distributed)
        if test is not None:
            speaker = stage.trainables[test.trainable]
            figures |= _listen(test, speaker, offered, distributed, agreement)
    set_training(stage, True)
    return {f"validation/{name}": value for name, value in figures.items()}


def _listen(
    test: ListeningTest,
    speaker: Trainable,
    offered: Sequence[Any],
    distributed: Distributed,
    agreement: RankAgreement | None,
) -> dict[str, float]:
    """Return what is heard; each rank speaks its share of the sentences. Collective."""
    chosen = test.choose([item for of_rank in distributed.gather(offered) for item in of_rank])
    weights = speaker.full_weights()

    def hear() -> Mapping[str, tuple[float, float]]:
        return test.hear(chosen, distributed.rank, distributed.world, weights)

    heard = hear() if agreement is None else agreement.take(hear)
    return merge_sums(distributed.gather(heard))


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
