"""Summary of one epoch of a plan, in a few numbers, in all and by language; no audio is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.plan import MicroBatchPlan, Plan, unweighted_plan

LONGEST_COUNTED = 5
"""Sequences of so many clips and more are one kind."""
_PROGRESS_CLIPS = 10_000

Progress = Callable[[int, int], None]
"""Called with (clips done, clips in all)."""


@dataclass(kw_only=True)
class PartSummary:
    """A language, or everything.

    A micro-batch of several languages counts for each by its share of the audio, so that the
    languages add up to the whole.
    """

    clips: int = 0
    """Clips that are read."""
    seconds: float = 0.0
    """Audio of them."""
    left_out: int = 0
    """Clips that are not read."""
    sequences: list[int] = field(default_factory=lambda: [0] * LONGEST_COUNTED)
    """Same-speaker sequences with 1, 2, 3, 4, and 5 or more clips."""
    micro_batches: float = 0.0
    tokens: float = 0.0
    """Units of the budget (frames or tokens) without padding."""
    padded_tokens: float = 0.0

    def add(self, other: PartSummary) -> None:
        """Count another part's clips in."""
        self.clips += other.clips
        self.seconds += other.seconds
        self.left_out += other.left_out
        self.sequences = [a + b for a, b in zip(self.sequences, other.sequences, strict=True)]
        self.micro_batches += other.micro_batches
        self.tokens += other.tokens
        self.padded_tokens += other.padded_tokens

    def to_plain(self, micro_batches_per_step: int) -> dict[str, Any]:
        """Return what people ask for, as JSON has it."""
        total = sum(self.sequences)
        names = [*map(str, range(1, LONGEST_COUNTED)), f"{LONGEST_COUNTED}+"]
        shares = [count / max(total, 1) for count in self.sequences]
        return {
            "clips": self.clips,
            "hours": self.seconds / 3600.0,
            "left_out": self.left_out,
            "sequences": total,
            "sequence_share": dict(zip(names, shares, strict=True)),
            "micro_batches": self.micro_batches,
            "steps": self.micro_batches / micro_batches_per_step,
            "padding_share": 1.0 - self.tokens / self.padded_tokens if self.tokens else 0.0,
        }


class MixtureShare(NamedTuple):
    """One part of a mixture."""

    name: str
    share: float
    """Share of the audio that a run reads."""
    epochs: float
    """How often it comes around while as much audio is read as there is in all."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One epoch of all lanes, as if every clip were read once."""

    lanes: int
    micro_batches_per_step: int
    languages: Mapping[str, PartSummary]
    left_out: Mapping[str, int]
    """Reason -> clips that are not read."""
    mixture: Sequence[MixtureShare] = ()
    """Components; none without weights and temperature."""

    @property
    def total(self) -> PartSummary:
        """All languages together."""
        total = PartSummary()
        for part in self.languages.values():
            total.add(part)
        total.micro_batches = round(total.micro_batches)
        return total

    def to_plain(self) -> dict[str, Any]:
        """Return nested plain values, for JSON and tables."""
        per_step = self.micro_batches_per_step
        return {
            "lanes": self.lanes,
            "micro_batches_per_step": per_step,
            "left_out": dict(self.left_out),
            "mixture": [part._asdict() for part in self.mixture],
            "total": self.total.to_plain(per_step),
            "languages": {name: part.to_plain(per_step) for name, part in self.languages.items()},
        }


def summarise(plan: Plan, progress: Progress | None = None) -> Summary:
    """Plan one pass over all clips and count what comes.

    Args:
        progress: called as clips are done.
    """
    mixture = _mixture(plan) if len(plan.parts) > 1 else []
    if mixture:
        plan = unweighted_plan(plan.index, plan.config, plan.seed, plan.members)
    left_out: Counter[str] = Counter()
    for shard in plan.index.shards:
        left_out.update(plan.table.left_out_of(shard))
    counts = _Counts(plan.index)
    done = reported = 0
    for planned in plan.single_pass():
        done += counts.add(planned)
        if progress and done - reported >= _PROGRESS_CLIPS:
            progress(done, plan.index.num_clips)
            reported = done
    config = plan.config
    return Summary(
        lanes=config.lanes,
        micro_batches_per_step=config.micro_batches_per_step,
        languages=counts.parts(),
        left_out=dict(left_out),
        mixture=mixture,
    )


def _mixture(plan: Plan) -> list[MixtureShare]:
    seconds = [sum(shard.seconds for shard in part.shards) for part in plan.parts]
    return [
        MixtureShare(part.name, part.share, part.share * sum(seconds) / own)
        for part, own in zip(plan.parts, seconds, strict=True)
    ]


class _Counts:
    """Sums over micro-batches, as arrays over languages."""

    def __init__(self, index: CorpusIndex) -> None:
        self._seconds = np.zeros(index.num_clips)  # [rows]
        self._languages = np.zeros(index.num_clips, dtype=np.int32)  # [rows]
        self._names: list[str] = []
        for shard in index.shards:
            columns = index.read(shard, ["language", "duration_sec"])
            rows = slice(shard.start, shard.stop)
            self._seconds[rows] = columns["duration_sec"].to_numpy(zero_copy_only=False)
            self._languages[rows] = self._number(columns["language"])
        size = len(self._names)
        self._all_clips = np.bincount(self._languages, minlength=size)
        self._clips = np.zeros(size, dtype=np.int64)
        self._sequences = np.zeros(size * LONGEST_COUNTED, dtype=np.int64)
        self._sums = np.zeros((4, size))  # seconds, micro-batches, tokens, padded tokens

    def _number(self, languages: pa.Array) -> np.ndarray:
        """Return [n] numbers of languages, new ones included."""
        encoded = pc.dictionary_encode(languages)
        names = encoded.dictionary.to_pylist()
        self._names += [name for name in names if name not in self._names]
        numbers = np.array([self._names.index(name) for name in names], dtype=np.int32)
        return numbers[encoded.indices.to_numpy()]

    def add(self, planned: MicroBatchPlan) -> int:
        """Count one micro-batch in; return its number of clips."""
        rows = np.fromiter(chain.from_iterable(planned.sequences), np.int64)
        lengths = np.fromiter(map(len, planned.sequences), np.int64)
        languages, size = self._languages[rows], len(self._names)
        self._clips += np.bincount(languages, minlength=size)
        firsts = languages[np.cumsum(lengths) - lengths]
        kinds = firsts * LONGEST_COUNTED + np.minimum(lengths, LONGEST_COUNTED) - 1
        self._sequences += np.bincount(kinds, minlength=len(self._sequences))
        seconds = np.bincount(languages, weights=self._seconds[rows], minlength=size)
        shares = seconds / max(float(seconds.sum()), 1e-9)
        padded = planned.tokens / (1.0 - planned.padding)
        self._sums += np.stack([seconds, shares, planned.tokens * shares, padded * shares])
        return len(rows)

    def parts(self) -> dict[str, PartSummary]:
        """Return the sums of each language, in alphabetical order."""
        kinds = self._sequences.reshape(-1, LONGEST_COUNTED)
        return {
            self._names[number]: PartSummary(
                clips=int(self._clips[number]),
                seconds=float(self._sums[0, number]),
                left_out=int(self._all_clips[number] - self._clips[number]),
                sequences=kinds[number].tolist(),
                micro_batches=float(self._sums[1, number]),
                tokens=float(self._sums[2, number]),
                padded_tokens=float(self._sums[3, number]),
            )
            for number in sorted(range(len(self._names)), key=self._names.__getitem__)
        }
