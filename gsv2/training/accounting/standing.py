"""Standing of a run: the figures of a record that its state holds, equal on all ranks."""

from __future__ import annotations

from typing import Any

from gsv2.training.accounting.consumption import sequence_shares
from gsv2.training.accounting.ledger import ledger_to_plain, pop_finished
from gsv2.training.accounting.state import TrainState
from gsv2.training.telemetry.throughput import hours_by_language


def take_standing(state: TrainState) -> dict[str, Any]:
    """Return the figures for a record, and begin the next: what it has told once is taken out."""
    finished = pop_finished(state.ledger, state.marks)
    sequences, state.sequences = state.sequences, {}
    return {
        **sequence_shares(sequences),
        **hours_by_language(state.audio_seen),
        "data/samples_seen": state.samples_seen,
        "data/bad_clips": state.bad_clips,
        "train/skipped_updates": state.skipped,
        "train/spikes": state.spikes,
        **({"data/ledger": ledger_to_plain(finished)} if finished else {}),
    }
