"""What the ranks have read of the stream: the lanes' marks, the ledger, the sequences, hours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from gsv2.data.batch import Batch
from gsv2.data.window import LaneMark
from gsv2.training.accounting.ledger import Ledger, add_tallies, tally_batch
from gsv2.training.distributed import Distributed
from gsv2.training.state import TrainState
from gsv2.training.telemetry.throughput import Workload

LONGEST_COUNTED = 5
"""Sequences of so many clips and more share a figure."""


class Consumption:
    """This rank's share since the last `settle`; only micro-batches that were used count."""

    def __init__(self, distributed: Distributed) -> None:
        self._distributed = distributed
        self._marks: dict[int, LaneMark] = {}
        self._ledger: Ledger = {}
        self._sequences: Counter[int] = Counter()
        self._audio: Counter[str] = Counter()

    def count(self, batches: Sequence[Batch], workloads: Sequence[Workload] = ()) -> None:
        """Take note of this rank's micro-batches, and of what they hold."""
        _add_marks(self._marks, (batch.mark for batch in batches))
        for batch in batches:
            add_tallies(self._ledger, tally_batch(batch))
            if batch.weight:
                self._sequences.update(Counter(batch.sequence.tolist()).values())
        for batch, workload in zip(batches, workloads, strict=bool(workloads)):
            for language, samples in zip(batch.languages, workload.samples, strict=False):
                self._audio[language] += samples

    def settle(self, state: TrainState) -> None:
        """Add all ranks' shares to `state`. Collective."""
        mine = (self._marks, self._ledger, self._sequences, self._audio)
        for marks, ledger, sequences, audio in self._distributed.gather(mine):
            _add_marks(state.marks, marks.values())
            add_tallies(state.ledger, ledger)
            for num_clips, count in sequences.items():
                state.sequences[num_clips] = state.sequences.get(num_clips, 0) + count
            for language, samples in audio.items():
                state.audio_seen[language] = state.audio_seen.get(language, 0) + samples
        self._marks, self._ledger = {}, {}
        self._sequences, self._audio = Counter(), Counter()


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


def _add_marks(marks: dict[int, LaneMark], more: Iterable[LaneMark]) -> None:
    """Keep the latest mark of each lane."""
    for mark in more:
        marks[mark.lane] = max(mark, marks.get(mark.lane, mark), key=lambda m: (m.place, m.window))
