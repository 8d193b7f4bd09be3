"""Own voice: whether speech is nearest to the speaker whose voice it was to take.

A speaker is the mean direction of his recordings. Of the own speaker the prompts and the recording
of the sentence itself are left out where others are left, for speech and recording alike: a copy
of the prompt's channel is no likeness.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gsv2.evaluation.estimates import Measurement
from gsv2.evaluation.row import SOURCES, Measures, SentenceRow

Vector = NDArray[np.float64]


def voice_measures(rows: Sequence[SentenceRow], encoder: str) -> dict[str, Measures]:
    """Return the key of each sentence -> figures of one speaker encoder.

    `similarity/ENCODER`: cosine to the own speaker's other recordings;
    `prompt_similarity/ENCODER`: cosine to the prompts (SIM of Seed-TTS-eval, arXiv 2406.02430);
    `own_voice/ENCODER`: 1 if no other speaker is nearer; only among two speakers or more.

    Args:
        rows: sentences; those that the encoder has not judged are left out.
        encoder: name of the encoder.
    """
    judged = [row for row in rows if encoder in row.voices]
    recordings = _recordings(judged, encoder)
    centres = {speaker: _mean(own.values()) for speaker, own in recordings.items()}
    return {row.key: _measure(row, encoder, recordings[row.speaker], centres) for row in judged}


def _recordings(rows: Iterable[SentenceRow], encoder: str) -> dict[str, dict[str, Vector]]:
    """Return speaker -> hash of each of his recordings -> vector."""
    speakers: dict[str, dict[str, Vector]] = {}
    for row in rows:
        for name in (*_own_ids(row), *row.further_ids):
            vector = np.asarray(row.voices[encoder][name])
            speakers.setdefault(row.speaker, {})[name] = vector
    return speakers


def _own_ids(row: SentenceRow) -> list[str]:
    return [*row.prompt_ids, *([row.recording_id] if row.recording_id else [])]


def _measure(
    row: SentenceRow, encoder: str, own: Mapping[str, Vector], centres: Mapping[str, Vector]
) -> Measures:
    voices = row.voices[encoder]
    prompts = _mean(np.asarray(voices[name]) for name in row.prompt_ids)
    others = [vector for name, vector in own.items() if name not in _own_ids(row)]
    reference = _mean(others) if others else prompts
    strangers = [centre for speaker, centre in centres.items() if speaker != row.speaker]
    measures: Measures = {}
    for source in SOURCES:
        name = row.recording_id if source == "recording" else source
        if name is None or name not in voices:
            continue
        voice = np.asarray(voices[name])
        similarity = float(voice @ reference)
        figures = {"similarity": similarity, "prompt_similarity": float(voice @ prompts)}
        if strangers:
            figures["own_voice"] = float(all(similarity > voice @ other for other in strangers))
        for figure, value in figures.items():
            measures.setdefault(f"{figure}/{encoder}", {})[source] = Measurement(value)
    return measures


def _mean(vectors: Iterable[Vector]) -> Vector:
    """Return the mean direction, of length 1."""
    total = np.sum(list(vectors), axis=0)
    return total / max(np.linalg.norm(total), np.finfo(float).tiny)
