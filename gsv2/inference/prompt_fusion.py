"""Fusion of prompts: one utterance is predicted after each of several prompts, and averaged.

A GPT that was trained on clips of one speaker hears a stranger when clips of several stand in one
sequence. Here each speaker has a sequence of its own; the logits of all are averaged by weight,
and all go on with the codes that are drawn from the mean (a product of experts, Hinton 2002).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from gsv2.inference.utterance import Utterance

Item = TypeVar("Item")


class PromptFusion:
    """Groups of rows that say one utterance after different prompts.

    Args:
        counts: number of rows of each utterance; they follow each other.
        weights: weight of each row, of positive sum in each utterance.
    """

    def __init__(self, counts: Sequence[int], weights: Sequence[float]) -> None:
        self._groups = torch.repeat_interleave(torch.tensor(counts))
        shares = torch.tensor(weights, dtype=torch.float64)
        sums = torch.zeros(len(counts), dtype=torch.float64).index_add_(0, self._groups, shares)
        self._shares = (shares / sums[self._groups]).float()
        self._counts = torch.tensor(counts)

    @property
    def first_rows(self) -> Tensor:
        """[B] int64 first row of each utterance."""
        return self._counts.cumsum(0) - self._counts

    def average(self, values: Tensor) -> Tensor:
        """Return [R, ...] float32 with the weighted mean of each utterance in all of its rows."""
        groups = self._groups.to(values.device)
        shares = self._shares.to(values.device).view(-1, *[1] * (values.ndim - 1))
        sums = values.new_zeros(len(self._counts), *values.shape[1:], dtype=torch.float32)
        return sums.index_add_(0, groups, values.float() * shares)[groups]


def spread(items: Sequence[Item], counts: Sequence[int]) -> list[Item]:
    """Return each item as many times as it is counted."""
    return [item for item, count in zip(items, counts, strict=True) for _ in range(count)]


def count_rows(utterance: Utterance) -> int:
    """Return the number of rows that an utterance takes."""
    return max(1, len(utterance.prompt_weights))
