"""Codebooks while they train: their statistics over all ranks, and the hash that follows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch

from gsv2.models.quantizer.model import HASH_KEY, Quantizer
from gsv2.nn.codebook_ema import CodebookStatistics
from gsv2.training.distributed.collectives import stack_over_ranks, sum_over_ranks


class LiveFingerprint(Mapping[str, str]):
    """The provenance of a quantizer that still trains: its own hash at the time of asking.

    Args:
        quantizer: quantizer that trains.
        others: hashes of what else a network depends on.
    """

    def __init__(self, quantizer: Quantizer, others: Mapping[str, str] | None = None) -> None:
        self._quantizer = quantizer
        self._others = {name: value for name, value in (others or {}).items() if name != HASH_KEY}

    def __getitem__(self, name: str) -> str:
        return self._quantizer.fingerprint() if name == HASH_KEY else self._others[name]

    def __iter__(self) -> Iterator[str]:
        return iter((HASH_KEY, *self._others))

    def __len__(self) -> int:
        return 1 + len(self._others)


def over_ranks(parts: Sequence[CodebookStatistics]) -> CodebookStatistics:
    """Merge a step's statistics over micro-batches and ranks, in global micro-batch order."""
    local = CodebookStatistics(*(torch.stack(column) for column in zip(*parts, strict=True)))
    candidates = stack_over_ranks(local.candidates)  # [ranks, micro-batches, P, K, d]
    is_candidate = stack_over_ranks(local.is_candidate)
    return CodebookStatistics(
        counts=sum_over_ranks(local.counts.sum(dim=0)),
        sums=sum_over_ranks(local.sums.sum(dim=0)),
        candidates=candidates.transpose(0, 1).flatten(0, 2),
        is_candidate=is_candidate.transpose(0, 1).flatten(),
    )
