"""Report of the quickstart: one HTML page that needs no network, and the same figures as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.evaluation.page_template import page_template
from gsv2.evaluation.report import json_values
from gsv2.files import write_atomically
from gsv2.quickstart.curves import Curve, TermCurves, pair_curves, read_curves
from gsv2.quickstart.figures import draw_curves
from gsv2.quickstart.report_data import (
    CorpusRow,
    ReportData,
    SpokenSentence,
    TrainedRun,
)

_TEMPLATE = "report.html.j2"
_MACHINE_GROUPS = ("train", "data", "checkpoint")  # about the run, not about what is learned
_MACHINE_TERMS = ("lr", "grad_norm")


class Chart(NamedTuple):
    """One term of one run."""

    term: str
    train: float | None
    """Last value on training clips."""
    heldout: float | None
    """Last value on held-out clips."""
    svg: str


class RunView(NamedTuple):
    """Charts of a run: of what it learned, and of how it ran."""

    name: str
    steps: int
    losses: list[Chart]
    machine: list[Chart]


def write_report(data: ReportData, out: Path) -> Path:
    """Write `report.html` and `report.json`.

    Args:
        data: all that the report shows.
        out: folder, made if need be.

    Returns:
        Path of the HTML file.

    Raises:
        ValueError: a run's `metrics.jsonl` is damaged.
        OSError: it is missing.
    """
    curves = {run.name: read_curves(run.folder / "metrics.jsonl") for run in data.runs}
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "report.html", render_html(data, curves))
    text = json.dumps(summarise(data, curves), indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(out / "report.json", text + "\n")
    return out / "report.html"


def render_html(data: ReportData, curves: Mapping[str, Mapping[str, Curve]]) -> str:
    """Return the page.

    Args:
        data: all that the page shows.
        curves: run name -> key -> curve.
    """
    return page_template(Path(__file__).with_name(_TEMPLATE)).render(
        data=data,
        splits=_splits(data.corpus),
        runs=[_view(run, curves[run.name]) for run in data.runs],
        judged=[figure for figure in data.figures if figure.passed is not None],
    )


def summarise(data: ReportData, curves: Mapping[str, Mapping[str, Curve]]) -> dict[str, Any]:
    """Return the figures of the report as plain values; what is not finite becomes None."""
    return json_values(
        {
            "passed": all(figure.passed is not False for figure in data.figures),
            "figures": [{**asdict(f), "passed": f.passed} for f in data.figures],
            "corpus": [asdict(row) for row in data.corpus],
            "num_voices": dict(data.num_voices),
            "runs": {name: _last(run) for name, run in curves.items()},
            "notes": list(data.notes),
            "sentences": [_described(item) for item in data.sentences],
            "speaking": None if data.speaking is None else asdict(data.speaking),
            "steps": [asdict(step) for step in data.steps],
            "total_sec": data.total_sec,
            "peak_memory_gib": data.peak_memory_gib,
            "machine": dict(data.machine),
        }
    )


def _view(run: TrainedRun, curves: Mapping[str, Curve]) -> RunView:
    losses: list[Chart] = []
    machine: list[Chart] = []
    for pair in pair_curves(curves):
        group, _, term = pair.term.partition("/")
        is_machine = group in _MACHINE_GROUPS or term in _MACHINE_TERMS
        (machine if is_machine else losses).append(_chart(run.name, pair))
    steps = max((curve.steps[-1] for curve in curves.values()), default=0)
    return RunView(run.name, steps, losses, machine)


def _chart(run: str, pair: TermCurves) -> Chart:
    svg = draw_curves(pair, f"{run} {pair.term}")
    train, heldout = (curve and curve.values[-1] for curve in (pair.train, pair.validation))
    return Chart(pair.term, train, heldout, svg)


def _splits(corpus: Sequence[CorpusRow]) -> dict[str, dict[str, CorpusRow]]:
    """Return language -> split -> row, so that both splits stand in one line."""
    languages: dict[str, dict[str, CorpusRow]] = {}
    for row in corpus:
        languages.setdefault(row.language, {})[row.split] = row
    return languages


def _last(curves: Mapping[str, Curve]) -> dict[str, Any]:
    return {key: {"step": c.steps[-1], "value": c.values[-1]} for key, c in curves.items()}


def _described(item: SpokenSentence) -> dict[str, Any]:
    """Return the fields of an item, and of its waves the length in seconds."""
    values = {}
    for name, value in vars(item).items():
        is_wave = hasattr(value, "shape")
        values[f"{name}_sec" if is_wave else name] = len(value) / SAMPLE_RATE if is_wave else value
    return values
