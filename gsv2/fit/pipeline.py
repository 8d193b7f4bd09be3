"""Pipeline of a fit: from a corpus and a time to a bundle that was evaluated."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from gsv2.evaluation.judge_names import load_judges
from gsv2.evaluation.judges import Judges
from gsv2.fit.budget import ENDING_SHARE, MAX_ENDING_SEC, TimeBudget
from gsv2.fit.chain import CHAINS, WEIGHTS, ChainCall, used_by_chain
from gsv2.fit.corpus import build_if_needed, choose_corpora, keep_codes, longest_clip_sec
from gsv2.fit.journal import Journal
from gsv2.fit.runs import FitRuns
from gsv2.fit.side_by_side import run_side_by_side
from gsv2.fit.steps import FitSteps, format_time
from gsv2.openmp import num_cores
from gsv2.training.threads import choose_threads

logger = logging.getLogger(__name__)

JOURNAL = "fit.json"
SIDE_BY_SIDE = "aligner and GPT beside VITS2"
SHARES: Mapping[str, float] = {"quantizer": 0.12, "aligner": 0.13, "gpt": 0.30, "vits2": 0.45}
"""Stage -> share of the time, one after the other."""
SHARES_SIDE_BY_SIDE: Mapping[str, float] = {"quantizer": 0.12, SIDE_BY_SIDE: 0.88}


def encoders_alone() -> Judges:
    """Return the judges of a fit that asks for none."""
    return load_judges(recognizers=())


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """What a fit is asked for."""

    corpus: Path
    """A corpus, or recordings with transcripts."""
    out: Path
    """Folder of everything made."""
    minutes: float
    """Wall time in all, over all calls."""
    held_out: Path | None = None
    """Another corpus to validate and judge on."""
    leave_out: Path | None = None
    """List of clips that are not trained on, as `gsv2 corpus clean` writes it."""
    language: str | None = None
    """Language of recordings that name none."""
    seed: int = 0
    """Seed of all training."""
    size: str | None = None
    """Size of the networks: `debug` or `small`; None = small on a GPU, debug on a CPU."""
    overrides: tuple[str, ...] = ()
    """`STAGE.section.key=value`."""
    judges: Callable[[], Judges] = encoders_alone
    """Makes the recognisers and speaker encoders of the evaluation; no recogniser unless asked for,
    since one may take longer than all else of the evaluation."""
    side_by_side: bool | None = None
    """Whether GPT and VITS2 train at the same time; None = on a CPU of two cores or more."""


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """What a fit has made."""

    bundle: Path
    report: Path
    seconds: Mapping[str, float]
    """Step -> wall time."""


def run_fit(settings: FitSettings) -> FitResult:
    """Train all parts on a corpus within a time, export and evaluate them.

    Called again after an interruption, it goes on, with the time that is left.

    Raises:
        ValueError: the corpus cannot be used, `out` is of another fit, or a step failed.
    """
    start = time.monotonic()
    out = settings.out
    journal = open_journal(settings)
    out.mkdir(parents=True, exist_ok=True)
    corpus = build_if_needed(settings.corpus, out / "corpus", settings.language)
    corpora = choose_corpora(corpus, settings.held_out, settings.leave_out)
    runs = FitRuns(
        out=out,
        corpora=corpora,
        seed=settings.seed,
        size=_size(settings),
        overrides=settings.overrides,
        longest_sec=longest_clip_sec(corpora),
    )
    is_double = _is_side_by_side(settings)
    budget = _budget(settings, journal, is_double=is_double)
    steps = FitSteps(runs, journal, budget, settings.judges)
    _log_plan(settings, budget, is_double=is_double)
    journal.seconds["corpus"] = journal.seconds.get("corpus", 0.0) + time.monotonic() - start
    steps.do("quantizer", "codes")
    if is_double:
        journal.run(
            SIDE_BY_SIDE,
            lambda: _run_chains(settings, runs, journal, budget),
            lambda: max(used_by_chain(runs, chain) for chain in CHAINS),
        )
    else:
        steps.do("aligner", "align", "shifted codes", "gpt", "vits2")
    steps.do("bundle", "evaluation")
    _log_result(steps, journal)
    return FitResult(bundle=steps.bundle, report=steps.report, seconds=dict(journal.seconds))


def open_journal(settings: FitSettings) -> Journal:
    """Continue the journal of a fit, or start one.

    Raises:
        ValueError: no time, or `out` is of another fit.
    """
    if not settings.minutes > 0:
        raise ValueError(f"the minutes must be above 0, but are {settings.minutes}")
    arguments = {
        "corpus": str(settings.corpus.resolve()),
        "held_out": None if settings.held_out is None else str(settings.held_out.resolve()),
        "minutes": settings.minutes,
        "seed": settings.seed,
    }
    if (size := _size(settings)) != "debug":  # fits of before had no other
        arguments["size"] = size
    if settings.leave_out is not None:
        arguments["leave_out"] = str(settings.leave_out.resolve())
    return Journal.open(settings.out / JOURNAL, arguments)


def _size(settings: FitSettings) -> str:
    return settings.size or ("small" if torch.cuda.is_available() else "debug")


def _is_side_by_side(settings: FitSettings) -> bool:
    if settings.side_by_side is not None:
        return settings.side_by_side
    return not torch.cuda.is_available() and num_cores() > 1


def _budget(settings: FitSettings, journal: Journal, *, is_double: bool) -> TimeBudget:
    total_sec = settings.minutes * 60
    weights = SHARES_SIDE_BY_SIDE if is_double else SHARES
    kept_sec = min(ENDING_SHARE * total_sec, MAX_ENDING_SEC)
    return TimeBudget(total_sec=total_sec, weights=weights, kept_sec=kept_sec)


def _run_chains(settings: FitSettings, runs: FitRuns, journal: Journal, budget: TimeBudget) -> None:
    seconds = max(budget.allot(SIDE_BY_SIDE, journal.seconds), 1.0)
    threads = _chain_threads()
    keep_codes(runs.out)
    logger.info("side by side for %s", format_time(seconds))
    calls = [
        ChainCall(
            chain=chain,
            seconds=seconds,
            started=time.time(),
            out=str(runs.out),
            corpora=runs.corpora,
            seed=runs.seed,
            size=runs.size,
            overrides=tuple(runs.overrides),
            longest_sec=runs.longest_sec,
        )
        for chain in CHAINS
    ]
    run_side_by_side(calls, runs.out / "logs", threads)


def _chain_threads() -> int:
    """Choose the number of threads of a chain, at most its share of the cores."""
    limit = max(1, num_cores() // len(CHAINS))
    if torch.cuda.is_available():
        return limit
    choice = choose_threads(None, limit=limit)
    logger.info("%s each: %s", choice.label, choice.reason)
    return choice.threads


def _log_plan(settings: FitSettings, budget: TimeBudget, *, is_double: bool) -> None:
    """Say what will take how long."""
    logger.info(
        "%g minutes in %s, as far as codes and alignments let it:", settings.minutes, settings.out
    )
    for name, seconds in budget.plan().items():
        if name != SIDE_BY_SIDE:
            logger.info("  %s %s", name, format_time(seconds))
            continue
        for chain, weights in WEIGHTS.items():
            named = TimeBudget(total_sec=seconds, weights=weights).plan()
            parts = ", ".join(f"{stage} {format_time(part)}" for stage, part in named.items())
            logger.info("  side by side, %s: %s", chain, parts)
    logger.info("  bundle and evaluation %s", format_time(budget.kept_sec))


def _log_result(steps: FitSteps, journal: Journal) -> None:
    total = format_time(sum(journal.seconds.values()))
    parts = ", ".join(f"{name} {format_time(of)}" for name, of in journal.seconds.items())
    logger.info("%s in all: %s", total, parts)
    logger.info("bundle: %s", steps.bundle)
    logger.info("report: %s", steps.report)
