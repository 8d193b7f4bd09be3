"""Figures of the report, from a finished fit: what a stranger understands, and the targets."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import soundfile
import torch

from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import read_manifest
from gsv2.evaluation.sentence_result import ResultFolder
from gsv2.fit.runs import STAGES
from gsv2.fit.sentences import HeldOutSentences
from gsv2.quickstart.report_data import (
    CorpusRow,
    KeyFigure,
    ReportData,
    SpeakingFigures,
    SpokenSentence,
    StepTime,
    TrainedRun,
)
from gsv2.training.run_folder.folder import describe_environment

NUM_PLAYERS = 12
"""Sentences with players on the page; all have one in the evaluation's."""
MAX_MEDIAN_ERRORS = 0.15
MAX_ERRORS = 0.30
MAX_ADDED_WER = 0.20
MIN_OWN_VOICE = 0.8
WER = "wer/pocketsphinx-grammar"
OWN_VOICE = "own_voice/resemblyzer"
_SCOPES = ("all", "median")

Figures = Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]
"""Scope -> figure -> source -> `value`, `low`, `high`: those of `evaluation.json`."""


def collect(
    out: Path, steps: Sequence[StepTime], speaking: SpeakingFigures | None = None
) -> ReportData:
    """Return the data of the report.

    Args:
        out: folder of the quickstart, whose evaluation is done.
        steps: what took how long.
        speaking: how the bundle speaks.
    """
    evaluation = json.loads((out / "evaluation" / "evaluation.json").read_text(encoding="utf-8"))
    corpora = {part: out / "corpus" / part for part in ("train", "heldout")}
    return ReportData(
        figures=list(key_figures(evaluation["figures"])),
        notes=evaluation["notes"],
        corpus=[row for part, path in corpora.items() for row in _corpus_rows(path, part)],
        runs=[TrainedRun(name=stage, folder=out / stage) for stage in STAGES],
        num_voices={part: read_manifest(path).num_speakers for part, path in corpora.items()},
        sentences=list(_sentences(evaluation["sentences"], corpora["heldout"], out)),
        steps=steps,
        total_sec=sum(step.seconds for step in steps),
        peak_memory_gib=_peak_memory_gib(),
        machine=_machine(),
        speaking=speaking,
    )


def key_figures(figures: Figures) -> Iterator[KeyFigure]:
    """Yield what the quickstart promises, each beside what the recordings have.

    Figures that were not measured are left out.
    """
    for name, what in (("char_errors", "codes"), ("char_errors_of_sound", "sound")):
        yield from _character_errors(figures, name, f"character errors of the {what}")
    added = _value(figures, "en", WER, "difference")
    if added is not None:
        said, recorded = (_value(figures, "en", WER, of) for of in ("generated", "recording"))
        yield KeyFigure(
            name="English word errors above the recordings'",
            value=added,
            target=MAX_ADDED_WER,
            note=f"PocketSphinx with the sentences' grammar: {_format(said)}, {_format(recorded)}",
        )
    own, recorded = (_value(figures, "all", OWN_VOICE, of) for of in ("generated", "recording"))
    if own is not None:
        yield KeyFigure(
            name="own voice, of what the recordings have",
            value=own / max(recorded or 0.0, 1e-9),
            target=MIN_OWN_VOICE,
            better="higher",
            note="sentences whose nearest held-out voice is their own, by Resemblyzer: "
            f"{_format(own)}, {_format(recorded)}",
        )
    yield from _without_target(figures)


def _character_errors(figures: Figures, name: str, title: str) -> Iterator[KeyFigure]:
    """Yield the median of the languages, and each of them."""
    median = _value(figures, "median", name)
    if median is None:
        return
    recorded = _format(_value(figures, "median", name, "recording"))
    note = f"median of the languages; of the recordings {recorded}"
    yield KeyFigure(name=title, value=median, target=MAX_MEDIAN_ERRORS, note=note)
    for language in figures:
        value = _value(figures, language, name)
        if language not in _SCOPES and value is not None:
            recorded = _format(_value(figures, language, name, "recording"))
            yield KeyFigure(
                name=f"{title}: {language}",
                value=value,
                target=MAX_ERRORS,
                note=f"of the recordings {recorded}",
            )


def _without_target(figures: Figures) -> Iterator[KeyFigure]:
    unended = _value(figures, "all", "unended")
    if unended is not None:
        yield KeyFigure(
            name="sentences that did not end by themselves",
            value=unended,
            note="no target: a pointer ends every sentence, babble too",
        )
    value = _value(figures, "all", "real_time_factor")
    if value is not None:
        yield KeyFigure(name="real-time factor", value=value, note="seconds a second of speech")


def _value(figures: Figures, scope: str, name: str, source: str = "generated") -> float | None:
    estimate = figures.get(scope, {}).get(name, {}).get(source)
    return None if estimate is None else estimate["value"]


def _format(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def _sentences(
    judged: Sequence[Mapping[str, Any]], heldout: Path, out: Path
) -> Iterator[SpokenSentence]:
    """Yield the first sentences with their sounds."""
    folder = ResultFolder(out / "evaluation" / "sentences")
    asked = HeldOutSentences(SourceConfig(path=str(heldout)), len(judged))
    for number in range(min(NUM_PLAYERS, len(judged))):
        sentence = asked[number]
        result = folder.load(sentence.key)
        if result is None or result.failure is not None or sentence.recording is None:
            continue
        wave, _ = soundfile.read(folder.wave(result.key, "generated"), dtype="float32")
        yield SpokenSentence(
            text=result.text,
            language=result.language,
            speaker=result.speaker,
            recording=sentence.recording,
            generated=wave,
            heard=result.readings.get("aligner, of the sound", {}).get("generated", ""),
            ended=result.ended,
            compute_sec=result.compute_sec,
        )


def _corpus_rows(corpus: Path, part: str) -> Iterator[CorpusRow]:
    """Yield one row a language."""
    index = CorpusIndex.open(SourceConfig(path=str(corpus)))
    languages = index.strings("language").to_pylist()
    speakers = index.strings("speaker").to_pylist()
    durations = index.numbers("duration_sec").tolist()
    clips = list(zip(languages, speakers, durations, strict=True))
    for language in sorted(set(languages)):
        own = [clip for clip in clips if clip[0] == language]
        yield CorpusRow(
            split="heldout" if part == "heldout" else "train",
            language=language,
            clips=len(own),
            minutes=sum(seconds for _, _, seconds in own) / 60,
            voices=len({speaker for _, speaker, _ in own}),
        )


def _machine() -> dict[str, str]:
    """Return the facts of the machine, versions included, as flat text."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    environment = describe_environment(1, device)
    packages = environment.pop("packages")
    return {key: str(value) for key, value in {**environment, **packages}.items() if value}


def _peak_memory_gib() -> float:
    """Return the largest resident set of this process, or of one that it started."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max(resource.getrusage(kind).ru_maxrss for kind in kinds)
    return peak / (2**30 if sys.platform == "darwin" else 2**20)
