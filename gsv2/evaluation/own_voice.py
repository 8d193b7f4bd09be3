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
from gsv2.evaluation.sentence_result import SOURCES, Measures, SentenceResult

Vector = NDArray[np.float64]


def voice_measures(results: Sequence[SentenceResult], encoder: str) -> dict[str, Measures]:
    """Return the key of each sentence -> figures of one speaker encoder.

    `similarity/ENCODER`: cosine to the own speaker's other recordings;
    `prompt_similarity/ENCODER`: cosine to the prompts (SIM of Seed-TTS-eval, arXiv 2406.02430);
    `own_voice/ENCODER`: 1 if no other speaker is nearer; only among two speakers or more.

    Args:
        results: sentences; those that the encoder has not judged are left out.
        encoder: name of the encoder.
    """
    judged = [result for result in results if encoder in result.voices]
    recordings = _recordings(judged, encoder)
    centres = {speaker: _mean(own.values()) for speaker, own in recordings.items()}
    return {
        result.key: _measure(result, encoder, recordings[result.speaker], centres)
        for result in judged
    }


def _recordings(results: Iterable[SentenceResult], encoder: str) -> dict[str, dict[str, Vector]]:
    """Return speaker -> hash of each of his recordings -> vector."""
    speakers: dict[str, dict[str, Vector]] = {}
    for result in results:
        for name in (*_own_ids(result), *result.further_ids):
            vector = np.asarray(result.voices[encoder][name])
            speakers.setdefault(result.speaker, {})[name] = vector
    return speakers


def _own_ids(result: SentenceResult) -> list[str]:
    return [*result.prompt_ids, *([result.recording_id] if result.recording_id else [])]


def _measure(
    result: SentenceResult, encoder: str, own: Mapping[str, Vector], centres: Mapping[str, Vector]
) -> Measures:
    voices = result.voices[encoder]
    prompts = _mean(np.asarray(voices[name]) for name in result.prompt_ids)
    others = [vector for name, vector in own.items() if name not in _own_ids(result)]
    reference = _mean(others) if others else prompts
    strangers = [centre for speaker, centre in centres.items() if speaker != result.speaker]
    measures: Measures = {}
    for source in SOURCES:
        name = result.recording_id if source == "recording" else source
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
