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
from gsv2.evaluation.row import SOURCES, Measures, SentenceRow

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
    rows: Sequence[SentenceRow]
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
        return {row.key: row.failure for row in self.rows if row.failure is not None}

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, and of each sentence what was heard, as plain values for JSON."""
        return {
            "bundle": self.bundle,
            "num_sentences": self.num_sentences,
            "notes": list(self.notes),
            "failures": self.failures,
            "figures": json_values(self.figures),
            "sentences": [_described(row) for row in self.rows],
        }


def make_report(
    bundle: str, rows: Sequence[SentenceRow], notes: Sequence[str] = ()
) -> EvaluationReport:
    """Return the report on sentences that were measured one by one."""
    spoken = [row for row in rows if row.failure is None]
    figures = estimate_figures(spoken)
    return EvaluationReport(
        bundle=bundle, rows=rows, figures=figures, notes=notes, num_sentences=len(rows)
    )


def estimate_figures(rows: Sequence[SentenceRow]) -> Figures:
    """Return the estimates over all rows, by language, and their median over the languages."""
    measured = _with_voices(rows)
    languages = sorted({row.language for row in rows})
    scopes = {
        ALL: list(rows),
        **{name: [r for r in rows if r.language == name] for name in languages},
    }
    figures: dict[str, dict[str, dict[str, Estimate]]] = {}
    for name in sorted({name for measures in measured.values() for name in measures}):
        for scope, members in scopes.items():
            sums = _by_source([measured[row.key].get(name, {}) for row in members])
            if sums:
                figures.setdefault(scope, {})[name] = _estimates(sums)
        groups = [_by_source([measured[r.key].get(name, {}) for r in scopes[g]]) for g in languages]
        if medians := _medians(dict(zip(languages, groups, strict=True))):
            figures.setdefault(MEDIAN, {})[name] = medians
    return figures


def _with_voices(rows: Sequence[SentenceRow]) -> dict[str, Measures]:
    """Return key -> figures, those that compare voices included."""
    measured = {row.key: dict(row.measures) for row in rows}
    for encoder in sorted({name for row in rows for name in row.voices}):
        for key, measures in voice_measures(rows, encoder).items():
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


def _described(row: SentenceRow) -> dict[str, Any]:
    names = ("key", "text", "language", "speaker", "failure", "ended", "speech_sec", "compute_sec")
    return {**{name: getattr(row, name) for name in names}, "readings": row.readings}


def json_values(value: Any) -> Any:
    """Return nested values as strict JSON has them: NaN and infinity become null."""
    if isinstance(value, Estimate):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {key: json_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
