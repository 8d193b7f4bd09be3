"""Body of `gsv2 evaluate`: a list read, judges loaded, tables printed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.table import Table

from gsv2.commands.terminal import print_table
from gsv2.evaluation.bundle_evaluation import keep_evaluation
from gsv2.evaluation.evaluate import evaluate_bundle
from gsv2.evaluation.judge_names import load_judges
from gsv2.evaluation.report import EvaluationReport
from gsv2.evaluation.sentence_list import SentenceList
from gsv2.evaluation.tables import Table as Cells
from gsv2.evaluation.tables import by_scope_table, figure_table
from gsv2.inference.bundle_description import read_bundle_description
from gsv2.inference.sampling import SamplingConfig
from gsv2.training.distributed.ranks import Distributed

NONE = "none"
"""Name of no judge."""
_NAMED = 20
"""Failures that are told one by one."""


def evaluate_list(
    bundle: Path,
    sentences: SentenceList,
    out: Path,
    recognizers: Sequence[str],
    encoders: Sequence[str],
    sampling: SamplingConfig,
    *,
    keep: bool = False,
) -> Iterator[str]:
    """Evaluate a bundle on a list; print tables and yield lines, on the main rank.

    Args:
        keep: whether the bundle carries the figures from now on.

    Raises:
        ValueError: a sentence, the bundle or a judge cannot be used.
    """
    read_bundle_description(bundle)
    ranks = Distributed()
    judges = load_judges(
        [name for name in recognizers if name != NONE],
        [name for name in encoders if name != NONE],
        device=ranks.device,
        english=[line.text for line in sentences.lines if line.language.split("-")[0] == "en"],
    )
    report = evaluate_bundle(bundle, sentences, out, judges=judges, sampling=sampling, ranks=ranks)
    ranks.close()
    if ranks.is_main:
        if keep:
            keep_evaluation(report, bundle)
        show_tables(report)
        yield from _lines(report, out)


def show_tables(report: EvaluationReport) -> None:
    """Print the figures over all sentences, and by language if there are several."""
    tables = [figure_table(report)]
    if len({result.language for result in report.results}) > 1:
        tables.append(by_scope_table(report))
    for cells in tables:
        print_table(_table(cells))


def _table(cells: Cells) -> Table:
    table = Table()
    for heading in cells.headings:
        table.add_column(heading, overflow="fold")
    for row in cells.rows:
        table.add_row(*row)
    return table


def _lines(report: EvaluationReport, out: Path) -> Iterator[str]:
    yield from report.notes
    failures = list(report.failures.items())
    if failures:
        yield f"{len(failures)} sentences were not spoken, and are in no figure:"
        yield from (f"  {key}: {reason}" for key, reason in failures[:_NAMED])
        if len(failures) > _NAMED:
            yield f"  and {len(failures) - _NAMED} more, see evaluation.json"
    yield f"page: {out / 'index.html'}"
