"""Report of an evaluation: figures over its sentences, by language and over all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gsv2.evaluation.estimates import (
    Estimate,
    Measurement,
    estimate_difference,
    estimate_median,
    estimate_ratio,
)
from gsv2.evaluation.own_voice import voice_measures
from gsv2.evaluation.sentence_result import SOURCES, Measures, SentenceResult

ALL, MEDIAN = "all", "median"
"""Scopes beside the languages: all sentences; the median of the languages' figures."""
DIFFERENCE = "difference"
"""Source that is the speech less the recordings, of the sentences that have both."""

Figures = Mapping[str, Mapping[str, Mapping[str, Estimate]]]
"""Scope -> figure -> source or `difference` -> estimate."""


@dataclass(frozen=True, kw_only=True)
class EvaluationReport:
    """What was measured."""

    bundle: str
    """Folder of the bundle."""
    results: Sequence[SentenceResult]
    """Sentences in the order that they were given in."""
    figures: Figures
    """Estimates; `figure` looks one up."""
    notes: Sequence[str] = ()
    """What was not measured, and why."""
    num_sentences: int
    """Sentences that were to be spoken."""

    def figure(self, name: str, source: str = "generated", scope: str = ALL) -> Estimate | None:
        """Return an estimate; None if it was not measured.

        Args:
            name: `char_errors`, `char_errors_of_sound`, `wer/JUDGE`, `cer/JUDGE`,
                `similarity/JUDGE`, `prompt_similarity/JUDGE`, `own_voice/JUDGE`, `mel_l1`,
                `mcd_db`, `pitch_error_semitones`, `voicing_error`, `pitch_hz`,
                `pitch_off_semitones`, `rate`, `unended` or `real_time_factor`.
            source: `generated`, `resynthesis`, `recording` or `difference`.
            scope: `all`, `median` (of the languages) or a language.
        """
        return self.figures.get(scope, {}).get(name, {}).get(source)

    @property
    def failures(self) -> dict[str, str]:
        """Key of each sentence that was not spoken -> why."""
        return {result.key: result.failure for result in self.results if result.failure is not None}

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, and of each sentence what was heard, as plain values for JSON."""
        return {
            "bundle": self.bundle,
            "num_sentences": self.num_sentences,
            "notes": list(self.notes),
            "failures": self.failures,
            "figures": json_values(self.figures),
            "sentences": [_described(result) for result in self.results],
        }


def make_report(
    bundle: str, results: Sequence[SentenceResult], notes: Sequence[str] = ()
) -> EvaluationReport:
    """Return the report on sentences that were measured one by one."""
    spoken = [result for result in results if result.failure is None]
    figures = estimate_figures(spoken)
    return EvaluationReport(
        bundle=bundle, results=results, figures=figures, notes=notes, num_sentences=len(results)
    )


def estimate_figures(results: Sequence[SentenceResult]) -> Figures:
    """Return the estimates over all results, by language, and their median over the languages."""
    measured = _with_voices(results)
    languages = sorted({result.language for result in results})
    scopes = {
        ALL: list(results),
        **{name: [r for r in results if r.language == name] for name in languages},
    }
    figures: dict[str, dict[str, dict[str, Estimate]]] = {}
    for name in sorted({name for measures in measured.values() for name in measures}):
        for scope, members in scopes.items():
            sums = _by_source([measured[result.key].get(name, {}) for result in members])
            if sums:
                figures.setdefault(scope, {})[name] = _estimates(sums)
        groups = [_by_source([measured[r.key].get(name, {}) for r in scopes[g]]) for g in languages]
        if medians := _medians(dict(zip(languages, groups, strict=True))):
            figures.setdefault(MEDIAN, {})[name] = medians
    return figures


def _with_voices(results: Sequence[SentenceResult]) -> dict[str, Measures]:
    """Return key -> figures, those that compare voices included."""
    measured = {result.key: dict(result.measures) for result in results}
    for encoder in sorted({name for result in results for name in result.voices}):
        for key, measures in voice_measures(results, encoder).items():
            measured[key] |= measures
    return measured


def _by_source(
    measured: Sequence[Mapping[str, Measurement]],
) -> dict[str, dict[int, Measurement]]:
    """Return source -> place of the sentence -> what it adds."""
    sums: dict[str, dict[int, Measurement]] = {}
    for source in SOURCES:
        found = {i: m[source] for i, m in enumerate(measured) if source in m}
        if found:
            sums[source] = found
    return sums


def _estimates(sums: Mapping[str, Mapping[int, Measurement]]) -> dict[str, Estimate]:
    estimates = {source: estimate_ratio([*found.values()]) for source, found in sums.items()}
    generated, recording = sums.get("generated", {}), sums.get("recording", {})
    if both := sorted(generated.keys() & recording.keys()):
        pairs = [generated[i] for i in both], [recording[i] for i in both]
        estimates[DIFFERENCE] = estimate_difference(*pairs)
    return estimates


def _medians(
    groups: Mapping[str, Mapping[str, Mapping[int, Measurement]]],
) -> dict[str, Estimate]:
    """Return source -> median over the languages that have it, if there are two or more."""
    medians: dict[str, Estimate] = {}
    for source in SOURCES:
        found = {name: [*sums[source].values()] for name, sums in groups.items() if source in sums}
        if len(found) > 1:
            medians[source] = estimate_median(found)
    return medians


def _described(result: SentenceResult) -> dict[str, Any]:
    names = ("key", "text", "language", "speaker", "failure", "ended", "speech_sec", "compute_sec")
    return {**{name: getattr(result, name) for name in names}, "readings": result.readings}


def json_values(value: Any) -> Any:
    """Return nested values as strict JSON has them: NaN and infinity become null."""
    if isinstance(value, Estimate):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {key: json_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
