"""Doubtful texts: clips whose own text lowers the GPT's loss no more than some other text does.

A clip's own text is compared with several others. One that has nothing to do with the sound is the
best of N + 1 by chance alone, one time in N + 1: all other wrong texts are found.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gsv2.evaluation.cleaning.doubtful import DoubtfulClip, Doubts

WRONG_TEXT = "text gains no more than another"
_MOST_DOUBTFUL = 0.5
"""Share of the clips of a language from which the GPT is in doubt, not the texts."""


def doubtful_texts(figures: pa.Table) -> Doubts:
    """Return the clips whose texts are doubtful, by language.

    Their `measured` is the loss with the best of the other texts less that with their own, in nats
    a frame; the threshold is 0.

    Args:
        figures: `key`, `speaker`, `language`, `text`, `frames` int, `nats` float and
            `other_nats` list of float.
    """
    found: list[DoubtfulClip] = []
    notes: list[str] = []
    for language in sorted(pc.unique(figures["language"]).to_pylist()):
        clips = figures.filter(pc.equal(figures["language"], language))
        judged = clips.filter(pc.greater(pc.list_value_length(clips["other_nats"]), 0))
        line = f"{language}: {len(judged)} of {len(clips)} clips judged"
        if not len(judged):
            notes.append(f"{line}: no other texts in their shards")
            continue
        gains = _gains(judged)
        line += f", median gain {np.median(gains):.3f} nats a frame over the best of other texts"
        if (gains <= 0).mean() > _MOST_DOUBTFUL:
            notes.append(f"{line}, most of them none: the GPT does not read it yet")
            continue
        doubtful = list(_doubtful(judged, gains))
        notes.append(f"{line}, {len(doubtful)} doubtful")
        found += doubtful
    found.sort(key=lambda clip: clip.measured)
    return Doubts(clips=found, notes=notes)


def _gains(clips: pa.Table) -> np.ndarray:
    """Return what the own text gains over the best of the others, [C] nats a frame."""
    best = [min(of_clip) for of_clip in clips["other_nats"].to_pylist()]
    return (np.array(best) - clips["nats"].to_numpy()) / clips["frames"].to_numpy()


def _doubtful(clips: pa.Table, gains: np.ndarray) -> Iterator[DoubtfulClip]:
    for place in np.flatnonzero(gains <= 0):
        clip = clips.slice(int(place), 1).to_pylist()[0]
        yield DoubtfulClip(
            key=clip["key"],
            reason=WRONG_TEXT,
            measured=float(gains[place]),
            threshold=0.0,
            speaker=clip["speaker"],
            language=clip["language"],
            text=clip["text"],
        )
