"""`gsv2 plan`: micro-batches of a run, figures of an epoch, and whether a run followed the plan."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from rich import box
from rich.table import Table

from gsv2.commands.terminal import print_json, print_table
from gsv2.config import load_config
from gsv2.data.corpus.code_format import CodeFormat
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.plan import Plan, describe_plan
from gsv2.data.plan.summary import summarise
from gsv2.stages import SCHEMAS, align_clip_of, members_of
from gsv2.storage.storage import Storage
from gsv2.training.accounting.audit import EpochCheck, check_ledger, read_ledgers
from gsv2.training.config import RunConfig
from gsv2.training.telemetry.progress import counting_bar


class BatchRange(NamedTuple):
    """Micro-batches of a plan, as its ranks and workers share them."""

    world: int
    """Number of ranks that share them."""
    workers: int
    """Number of data workers of each rank."""
    start: int
    """First micro-batch."""
    steps: int
    """Number of optimizer steps."""


def show_plan(
    config_path: Path,
    overrides: Sequence[str],
    batches: BatchRange,
    run: Path | None,
    *,
    summary: bool,
    as_json: bool,
) -> bool:
    """Print figures of an epoch or how a run followed its plan; if neither is asked, the plan.

    Args:
        config_path: YAML file of the run.
        overrides: `section.key=value` strings.
        batches: micro-batches that are printed.
        run: run folder whose ledger is compared with the plan; None = no run's.
        summary: print the figures.
        as_json: print them as JSON.

    Returns:
        False if the run did not follow its plan.
    """
    config, plan = open_plan(config_path, overrides)
    is_equal = True
    if summary:
        values = summarise_plan(plan)
        if as_json:
            print_json(values)
        else:
            print_table(summary_table(values))
            sys.stdout.writelines(f"{note}\n" for note in summary_notes(values))
    if run is not None:
        found, is_equal = describe_check(plan, run)
        sys.stdout.writelines(f"{line}\n" for line in found)
    if not summary and run is None:
        rows = describe_plan(
            plan, world=batches.world, workers=batches.workers, start=batches.start
        )
        for row in islice(rows, batches.steps * config.data.micro_batches_per_step):
            print_json(row, indent=None)
    return is_equal


def open_plan(config_path: Path, overrides: Sequence[str]) -> tuple[RunConfig, Plan]:
    """Return the config of a run and the plan that it trains by.

    Raises:
        ValueError: the config or the corpus cannot be used; the message says why.
    """
    config: RunConfig = load_config(config_path, overrides, SCHEMAS)
    storage = Storage(config.data.remote, allow_pipe=config.data.allow_pipe)
    index = CorpusIndex.open(*config.data.sources, storage=storage)
    index = index.with_codes(CodeFormat(), align_clip_of(config))
    return config, Plan(index, config.data, config.seed, members_of(config))


def summarise_plan(plan: Plan) -> dict[str, Any]:
    """Return `Summary.to_plain` of a plan, with a bar while it is made."""
    with counting_bar("planning") as progress:
        return summarise(plan, progress).to_plain()


def summary_table(values: Mapping[str, Any]) -> Table:
    """Return the table of `Summary.to_plain`: a row for each language, and one for all."""
    kinds = list(values["total"]["sequence_share"])
    caption = "1 to 5+: share of the same-speaker sequences with so many clips"
    table = Table("language", title="one epoch", caption=caption, box=box.SIMPLE)
    for name in ("clips", "hours", "left out", "sequences", *kinds, "micro-batches", "steps"):
        table.add_column(name, justify="right")
    table.add_column("padding", justify="right")
    for language, part in {**values["languages"], "total": values["total"]}.items():
        table.add_row(
            language or "unknown",
            str(part["clips"]),
            f"{part['hours']:.2f}",
            str(part["left_out"]),
            str(part["sequences"]),
            *(f"{part['sequence_share'][kind]:.0%}" for kind in kinds),
            f"{part['micro_batches']:.0f}",
            f"{part['steps']:.0f}",
            f"{part['padding_share']:.1%}",
        )
    return table


def summary_notes(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for every reason to leave clips out, and for every part of a mixture."""
    for reason, count in values["left_out"].items():
        yield f"left out: {count} clips, {reason}"
    for part in values["mixture"]:
        share, epochs = f"{part['share']:.1%}", f"{part['epochs']:.2f}"
        yield f"mixture: {share} from {part['name']}, {epochs} epochs of it in one of all"


def check_run(plan: Plan, run: Path) -> Iterator[EpochCheck]:
    """Compare what a run has read with the plan, epoch by epoch as far as it is finished.

    Args:
        plan: plan of the run's config.
        run: run folder.

    Raises:
        ValueError: there is no such run.
    """
    return check_ledger(plan, read_ledgers(run / "metrics.jsonl"))


def describe_check(plan: Plan, run: Path) -> tuple[list[str], bool]:
    """Return `check_run` in lines, and whether nothing differs."""
    found = list(check_run(plan, run))
    lines = [str(check) for check in found]
    nothing = [f"{run}: no lane has finished an epoch yet: nothing to compare"]
    return lines or nothing, not any(check.differences for check in found)
