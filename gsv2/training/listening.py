"""Listening test: held-out sentences that a stage speaks at a validation, and what is heard."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from gsv2.data.stream.batch import Batch
from gsv2.training.distributed.agreement import RankAgreement

logger = logging.getLogger(__name__)


class ListeningTest(Protocol):
    """Speech that is made and judged after the pass over the held-out clips.

    Sentences are whatever the test makes of clips: small objects on the host that can be sent to
    other ranks. It holds no collective and keeps nothing between validations but what `review`
    remembers.
    """

    trainable: str
    """Name of the network that speaks."""

    def candidates(self, batch: Batch) -> Sequence[Any]:
        """Return the sentences of a micro-batch on the host."""

    def choose(self, offered: Sequence[Any]) -> Sequence[Any]:
        """Return the sentences that are spoken, in an order of their own.

        What is chosen of parts, chosen again, is what is chosen of all: so every rank comes to
        the same sentences, on whatever ranks they were read.
        """

    def hear(
        self, chosen: Sequence[Any], part: int, parts: int, weights: Mapping[str, Tensor] | None
    ) -> Mapping[str, tuple[float, float]]:
        """Speak one of `parts` parts of the chosen sentences and judge it.

        Args:
            chosen: all chosen sentences.
            part: number of the part, from 0.
            parts: number of parts.
            weights: parameters of the network on this rank, where an engine has partitioned them.

        Returns:
            Name of a figure -> sum and weight, which add up over the parts; nothing of no sentence.
        """

    def review(self, record: Mapping[str, Any]) -> str | None:
        """Return a warning about the figures of a validation beside those before; None without."""

    def verdict(self, record: Mapping[str, Any]) -> str | None:
        """Return in a line what the figures of the last validation say; None if they say nothing.

        Args:
            record: figures by their names in `metrics.jsonl`.
        """


@runtime_checkable
class SpeakingStage(Protocol):
    """A stage that can be listened to."""

    listening_test: ListeningTest | None
    """None where nobody listens."""


def listening_test_of(stage: object) -> ListeningTest | None:
    """Return the listening test of a stage, if it has one."""
    return stage.listening_test if isinstance(stage, SpeakingStage) else None


def recall_listening(stage: object, records: Iterable[Mapping[str, Any]]) -> None:
    """Let the listening test of a stage know what the launches before have heard.

    Args:
        stage: stage of the run.
        records: records of `metrics.jsonl`, from the first.
    """
    test = listening_test_of(stage)
    if test is not None:
        for record in records:
            test.review(record)


def log_listening(
    stage: object, step: int, record: Mapping[str, Any], agreement: RankAgreement, *, is_last: bool
) -> None:
    """Warn, on the main rank, of speech that gets worse; say at last what it has come to.

    Args:
        stage: stage of the run.
        step: step of the validation.
        record: figures of that step.
        agreement: agreement in which the ranks listen.
        is_last: whether the run ends here.
    """
    test = listening_test_of(stage)
    if test is None or not agreement.distributed.is_main:
        return
    if (warning := test.review(record)) is not None:
        logger.warning("step %d: %s", step, warning)
    if is_last and (verdict := test.verdict(record)) is not None:
        logger.info("%s", verdict)
