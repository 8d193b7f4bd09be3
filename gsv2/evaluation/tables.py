"""Tables of an evaluation's figures, as cells of text for terminal and page alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gsv2.evaluation.estimates import Estimate
from gsv2.evaluation.report import ALL, DIFFERENCE, MEDIAN, EvaluationReport

COLUMNS = {
    "generated": "speech",
    "resynthesis": "recordings through codes",
    "recording": "recordings",
    DIFFERENCE: "speech less recordings",
}
"""Source -> heading."""
_TITLES = {
    "char_errors": "character errors, codes read by the aligner",
    "char_errors_of_sound": "character errors, sound read by the aligner",
    "wer": "word errors",
    "cer": "character errors",
    "own_voice": "nearest to its own voice",
    "similarity": "cosine to other recordings of the voice",
    "prompt_similarity": "cosine to the prompts",
    "mel_l1": "mel distance, nats",
    "mcd_db": "mel-cepstral distortion, dB",
    "pitch_error_semitones": "pitch off the recording's, semitones",
    "voicing_error": "frames voiced in one only",
    "pitch_hz": "median pitch, Hz",
    "pitch_off_semitones": "pitch off that of the prompts, semitones",
    "rate": "characters a second",
    "unended": "sentences without an end",
    "real_time_factor": "seconds of work for one of speech",
}
"""Figure, or what stands before the judge's name in it -> what it is; the order of the tables."""
_BY_SCOPE = ("char_errors", "wer", "own_voice")
"""Figures that are told by language."""


class Table(NamedTuple):
    """Headings and rows of text; the first cell of a row names it."""

    headings: list[str]
    rows: list[list[str]]


def figure_table(report: EvaluationReport) -> Table:
    """Return one row a figure over all sentences, one column a source.

    A figure that not all sentences have says how many do.
    """
    rows = []
    for name, by_source in _ordered(report):
        cells = [format_estimate(by_source[s]) if s in by_source else "" for s in COLUMNS]
        count = max(estimate.num_sentences for estimate in by_source.values())
        few = "" if count == report.num_sentences else f", {count} sentences"
        rows.append([figure_title(name) + few, *cells])
    return Table(["", *COLUMNS.values()], rows)


def by_scope_table(report: EvaluationReport) -> Table:
    """Return one row a language, then their median: what was understood, whose voice it is."""
    scopes = sorted(scope for scope in report.figures if scope not in (ALL, MEDIAN))
    headings, columns = [""], []
    for name, by_source in _ordered(report):
        if name.split("/")[0] in _BY_SCOPE:
            for source in ("generated", "recording"):
                if source in by_source:
                    headings.append(f"{figure_title(name)}: {COLUMNS[source]}")
                    columns.append((name, source))
    rows = []
    for scope in [*scopes, *([MEDIAN] if MEDIAN in report.figures else [])]:
        found = [report.figure(name, source, scope) for name, source in columns]
        rows.append([scope, *("" if cell is None else format_estimate(cell) for cell in found)])
    return Table(headings, rows)


def figure_title(name: str) -> str:
    """Return what a figure is, in words."""
    kind, _, judge = name.partition("/")
    return f"{_TITLES.get(kind, kind)} ({judge})" if judge else _TITLES.get(kind, kind)


def format_estimate(estimate: Estimate) -> str:
    """Write a value with its interval: `0.12 [0.08, 0.17]`."""
    value = _number(estimate.value)
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{_number(estimate.low)}, {_number(estimate.high)}]"


def _number(value: float) -> str:
    return (
        f"{value:.0f}"
        if abs(value) >= 100
        else f"{value:.1f}"
        if abs(value) >= 10
        else f"{value:.2f}"
    )


def _ordered(report: EvaluationReport) -> Iterator[tuple[str, dict[str, Estimate]]]:
    """Yield the figures over all sentences in the order of `_TITLES`."""
    order = {name: place for place, name in enumerate(_TITLES)}
    figures = report.figures.get(ALL, {})
    for name in sorted(figures, key=lambda name: (order.get(name.split("/")[0], len(order)), name)):
        yield name, dict(figures[name])
