"""Files of an evaluation: its figures as JSON, and a page with tables and players."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gsv2.audio.wave import load_wave
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.evaluation.page_template import page_template
from gsv2.evaluation.report import ALL, MEDIAN, EvaluationReport
from gsv2.evaluation.sentence import Sentence
from gsv2.evaluation.sentence_result import ResultFolder, SentenceResult
from gsv2.evaluation.tables import by_scope_table, figure_table
from gsv2.files import write_atomically

MAX_PLAYERS = 24
"""Sentences that the page has players for, at about 400 kB each; languages take turns."""


class PlayedSentence(NamedTuple):
    """A sentence with its sounds, each [N] float32 at 32 kHz."""

    result: SentenceResult
    prompt: np.ndarray
    generated: np.ndarray
    resynthesis: np.ndarray | None
    recording: np.ndarray | None


def write_report(
    report: EvaluationReport, sentences: Sequence[Sentence], folder: ResultFolder, out: Path
) -> None:
    """Write `evaluation.json` and `index.html`.

    Args:
        report: what was measured.
        sentences: sentences that it was measured on, in the same order.
        folder: where their sounds are.
        out: folder to write to.
    """
    text = json.dumps(report.as_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(out / "evaluation.json", text + "\n")
    write_atomically(out / "index.html", render_page(report, sentences, folder))


def render_page(
    report: EvaluationReport, sentences: Sequence[Sentence], folder: ResultFolder
) -> str:
    """Return the page, which refers to nothing outside itself."""
    scopes = [scope for scope in report.figures if scope not in (ALL, MEDIAN)]
    return page_template(Path(__file__).with_name("page.html.j2")).render(
        report=report,
        figures=figure_table(report),
        languages=by_scope_table(report) if len(scopes) > 1 else None,
        played=list(_played(report.results, sentences, folder)),
    )


def _played(
    results: Sequence[SentenceResult], sentences: Sequence[Sentence], folder: ResultFolder
) -> Iterator[PlayedSentence]:
    for place in choose_by_turns([result.language for result in results if result.failure is None]):
        result = [result for result in results if result.failure is None][place]
        sentence = sentences[results.index(result)]
        again = folder.wave(result.key, "resynthesis")
        yield PlayedSentence(
            result=result,
            prompt=sentence.prompts[0].wave,
            generated=load_wave(folder.wave(result.key, "generated"), SAMPLE_RATE),
            resynthesis=load_wave(again, SAMPLE_RATE) if result.recording_id else None,
            recording=sentence.recording,
        )


def choose_by_turns(languages: Sequence[str], most: int = MAX_PLAYERS) -> list[int]:
    """Return places of sentences, the first of every language before the second of any."""
    turns: dict[str, int] = {}
    ranked = []
    for place, language in enumerate(languages):
        turns[language] = turns.get(language, -1) + 1
        ranked.append((turns[language], place))
    return sorted(place for _, place in sorted(ranked)[:most])
