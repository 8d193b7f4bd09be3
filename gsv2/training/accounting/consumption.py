"""Consumption of the stream: lanes' positions, ledger, lengths of sequences, hours of audio."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gsv2.data.plan.window import LanePosition
from gsv2.data.stream.batch import Batch
from gsv2.training.accounting.ledger import Ledger, add_tallies, tally_batch
from gsv2.training.accounting.state import TrainState
from gsv2.training.stage import Workload

LONGEST_COUNTED = 5
"""Sequences of so many clips and more share a figure."""


@dataclass(kw_only=True)
class ConsumptionCounts:
    """Counts of what one rank has read."""

    positions: dict[int, LanePosition] = field(default_factory=dict)
    """Lane -> its latest."""
    ledger: Ledger = field(default_factory=dict)
    sequences: Counter[int] = field(default_factory=Counter)
    """Number of clips -> number of sequences."""
    audio: Counter[str] = field(default_factory=Counter)
    """Language -> samples."""


class Consumption:
    """Counter of what this rank reads, of micro-batches that were used, until `drain`."""

    def __init__(self) -> None:
        self._counts = ConsumptionCounts()

    def count(self, batches: Sequence[Batch], workloads: Sequence[Workload] = ()) -> None:
        """Take note of this rank's micro-batches, and of what they hold."""
        mine = self._counts
        _add_positions(mine.positions, (batch.position for batch in batches))
        for batch in batches:
            add_tallies(mine.ledger, tally_batch(batch))
            if batch.weight:
                mine.sequences.update(Counter(batch.sequence.tolist()).values())
        for batch, workload in zip(batches, workloads, strict=bool(workloads)):
            for language, samples in zip(batch.languages, workload.samples, strict=False):
                mine.audio[language] += samples

    def drain(self) -> ConsumptionCounts:
        """Return what this rank has read since the last time, and begin anew."""
        counts, self._counts = self._counts, ConsumptionCounts()
        return counts

    @staticmethod
    def merge(counts: Iterable[ConsumptionCounts], state: TrainState) -> None:
        """Add the counts of all ranks to `state`."""
        for of_rank in counts:
            _add_positions(state.positions, of_rank.positions.values())
            add_tallies(state.ledger, of_rank.ledger)
            for num_clips, count in of_rank.sequences.items():
                state.sequences[num_clips] = state.sequences.get(num_clips, 0) + count
            for language, samples in of_rank.audio.items():
                state.audio_seen[language] = state.audio_seen.get(language, 0) + samples


def sequence_shares(sequences: Mapping[int, int]) -> dict[str, float]:
    """Return `data/sequence_share/N` -> share of the sequences with N clips, the last `5+`.

    Args:
        sequences: number of clips -> number of sequences.
    """
    total = max(sum(sequences.values()), 1)
    shares = {
        f"data/sequence_share/{num_clips}": sequences.get(num_clips, 0) / total
        for num_clips in range(1, LONGEST_COUNTED)
    }
    longer = sum(count for num, count in sequences.items() if num >= LONGEST_COUNTED)
    return {**shares, f"data/sequence_share/{LONGEST_COUNTED}+": longer / total}


def _add_positions(positions: dict[int, LanePosition], more: Iterable[LanePosition]) -> None:
    """Keep the latest position of each lane."""
    for position in more:
        latest = positions.get(position.lane, position)
        positions[position.lane] = max(position, latest, key=lambda one: (one.place, one.window))
