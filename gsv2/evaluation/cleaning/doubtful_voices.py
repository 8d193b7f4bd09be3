"""Doubtful voices: clips whose voice is not that of the other clips under their speaker's name.

A speaker's voice is the mean direction of the half of his clips that is nearest to the most
central one, so that up to half of them may be somebody else's. Clips below the similarity that best
tells a speaker's own clips from those of other speakers of the corpus are doubtful, each with the
central clip as the pair that differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gsv2.evaluation.cleaning.doubtful import DoubtfulClip, Doubts

OTHER_VOICE = "voice differs from the speaker's"
_CENTRE_CLIPS = 256
"""Clips among which the central one is sought; drawn evenly."""
_STRANGERS = 4
"""Other speakers that every clip is compared with."""

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class _Voice:
    """Voice of one speaker."""

    central: int
    """Row of his most central clip."""
    kept: NDArray[np.intp]
    """Rows of the half of his clips that is nearest to it."""
    total: Vector
    """Sum of their vectors."""


def doubtful_voices(figures: pa.Table) -> Doubts:
    """Return the clips whose voices are doubtful, the least similar first.

    Args:
        figures: `key`, `speaker` ("" = nobody knows), `language`, `text` and `voice`, a list of
            length 1 in the sense of Euclid.
    """
    speakers = np.array(figures["speaker"].to_pylist(), dtype=object)
    vectors = _vectors(figures)
    named = sorted(set(speakers) - {""})
    rows = {speaker: np.flatnonzero(speakers == speaker) for speaker in named}
    voices = {name: _voice(vectors, of) for name, of in rows.items() if len(of) > 1}
    if len(voices) < 2:
        note = f"{len(voices)} speakers with two clips or more: nothing tells voices apart"
        return Doubts(clips=[], notes=[note])
    own = {row: s for name in voices for row, s in _own(vectors, rows[name], voices[name])}
    others = _to_others(vectors, rows, voices)
    limit, below, above = _best_limit(np.array(list(own.values())), others)
    doubtful = sorted((s, row) for row, s in own.items() if s <= limit)
    notes = [
        f"{len(own)} clips of {len(voices)} speakers: similarity {limit:.3f} tells voices apart; "
        f"{below:.1%} of the clips are below it, {above:.1%} of strangers above"
    ]
    clips = [_clip(figures, row, s, limit, voices[speakers[row]]) for s, row in doubtful]
    return Doubts(clips=clips, notes=notes)


def _vectors(figures: pa.Table) -> Vector:
    """Return the voices [n, D]."""
    flat = pc.list_flatten(figures["voice"]).to_numpy().astype(np.float32)
    return flat.reshape(len(figures), -1)


def _voice(vectors: Vector, rows: NDArray[np.intp]) -> _Voice:
    places = np.linspace(0, len(rows) - 1, min(len(rows), _CENTRE_CLIPS)).round().astype(int)
    drawn = rows[places]
    similar = vectors[drawn] @ vectors[drawn].T  # [n, n]
    np.fill_diagonal(similar, -np.inf)
    nearest = -np.sort(-similar, axis=1)[:, : max(1, len(drawn) // 2)]
    central = int(drawn[np.argmax(nearest.mean(axis=1))])
    order = np.argsort(-(vectors[rows] @ vectors[central]), kind="stable")
    kept = rows[order[: max(1, (len(rows) + 1) // 2)]]
    return _Voice(central, kept, vectors[kept].sum(axis=0))


def _own(vectors: Vector, rows: NDArray[np.intp], voice: _Voice) -> Iterator[tuple[int, float]]:
    """Yield each clip's row and its similarity to the speaker's voice without it."""
    kept = set(voice.kept.tolist())
    for row in rows.tolist():
        total = voice.total - vectors[row] if row in kept else voice.total
        length = np.linalg.norm(total)
        if length > 0:  # else it is all that is known of the voice
            yield row, float(vectors[row] @ total / length)


def _to_others(
    vectors: Vector, rows: Mapping[str, NDArray[np.intp]], voices: Mapping[str, _Voice]
) -> Vector:
    """Return similarities of the clips that make a voice to the voices of other speakers."""
    centres = np.stack([v.total / np.linalg.norm(v.total) for v in voices.values()])
    found = []
    for number, name in enumerate(voices):
        others = [(number + step) % len(centres) for step in range(1, _STRANGERS + 1)]
        strangers = centres[[other for other in dict.fromkeys(others) if other != number]]
        found.append((vectors[voices[name].kept] @ strangers.T).ravel())
    return np.concatenate(found)


def _best_limit(own: Vector, others: Vector) -> tuple[float, float, float]:
    """Return the similarity with the least sum of both errors, and the two errors.

    Where several do, it is the middle of the widest gap.
    """
    values = np.unique(np.concatenate([own, others, [-1.0]]))
    limits = (values[:-1] + values[1:]) / 2
    below = np.searchsorted(np.sort(own), limits) / len(own)
    above = 1 - np.searchsorted(np.sort(others), limits) / len(others)
    errors = below + above
    best = np.flatnonzero(errors <= errors.min() + 1e-12)
    widest = best[np.argmax(np.diff(values)[best])]
    return float(limits[widest]), float(below[widest]), float(above[widest])


def _clip(
    figures: pa.Table, row: int, similarity: float, limit: float, voice: _Voice
) -> DoubtfulClip:
    clip = figures.slice(row, 1).to_pylist()[0]
    return DoubtfulClip(
        key=clip["key"],
        reason=OTHER_VOICE,
        measured=similarity,
        threshold=limit,
        speaker=clip["speaker"],
        language=clip["language"],
        text=clip["text"],
        other=figures["key"][voice.central].as_py(),
    )
