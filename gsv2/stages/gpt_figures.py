"""Figures of the GPT's validation: ends, and the loss by language and by number of prompts."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

import torch
from torch import Tensor

from gsv2.data.stream.batch import Batch
from gsv2.losses.code_figures import clip_nats, count_ends
from gsv2.models.gpt.model import GPTOutput
from gsv2.training.stage import Figure


def gpt_figures(
    batch: Batch, output: GPTOutput, is_target: Tensor | None, end: int
) -> dict[str, Figure]:
    """Return `end_precision`, `end_recall`, `language/LANG/nats_per_frame` and `prompts/N/...`.

    The end counts as predicted where it is the likeliest code after the right ones; precision is a
    mean over those steps, recall over clips, nats over frames with all codebooks and the end
    together.

    Args:
        batch: clips on the device, with codes.
        output: predictions of all frames.
        is_target: [C] bool: clips that are predicted; None = all.
        end: id of the end.
    """
    assert batch.code_lengths is not None
    chosen = torch.arange(batch.num_clips) if is_target is None else is_target.cpu().nonzero()[:, 0]
    places = chosen.tolist()
    frames = batch.code_lengths[chosen.to(batch.code_lengths.device)]
    ends = count_ends(output.logits[0], output.targets[0], end)
    correct = torch.tensor(float(ends.correct))
    figures = {
        "end_precision": Figure(correct / max(ends.predicted, 1), ends.predicted),
        "end_recall": Figure(correct / max(ends.actual, 1), ends.actual),
    }
    nats = clip_nats(output.logits, output.targets, frames).cpu()
    lengths = frames.cpu()
    prompts = _num_prompts(batch.sequence.tolist())
    for kind, labels in (
        ("language", [batch.languages[place] for place in places]),
        ("prompts", [prompts[place] for place in places]),
    ):
        for label, clips in _groups(labels):
            total = int(lengths[clips].sum())
            mean = nats[clips].sum() / max(total, 1)
            figures[f"{kind}/{label}/nats_per_frame"] = Figure(mean, total)
    return figures


def _num_prompts(sequence: Sequence[int]) -> list[int]:
    """Return how many clips stand before each in its sequence."""
    first: dict[int, int] = {}
    return [place - first.setdefault(number, place) for place, number in enumerate(sequence)]


def _groups(labels: Sequence[Hashable]) -> Iterator[tuple[Hashable, list[int]]]:
    """Yield each label with the places that have it."""
    for label in dict.fromkeys(labels):
        yield label, [place for place, other in enumerate(labels) if other == label]
