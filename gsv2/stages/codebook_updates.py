"""Codebooks while they train: their statistics over all ranks, and the hash that follows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch

from gsv2.models.quantizer.model import HASH_KEY, Quantizer
from gsv2.nn.codebook_ema import CodebookStatistics
from gsv2.training.distributed.collectives import stack_over_ranks, sum_over_ranks


class LiveFingerprint(Mapping[str, str]):
    """The provenance of a quantizer that still trains: its own hash at the time of asking."""

    def __init__(self, quantizer: Quantizer) -> None:
        self._quantizer = quantizer

    def __getitem__(self, name: str) -> str:
        if name != HASH_KEY:
            raise KeyError(name)
        return self._quantizer.fingerprint()

    def __iter__(self) -> Iterator[str]:
        return iter((HASH_KEY,))

    def __len__(self) -> int:
        return 1


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
