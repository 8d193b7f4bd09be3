"""BENCHMARKS row 14: the quickstart's training steps of GPT and VITS2 against an earlier build's.

    python -m benchmarks.quickstart [--against REV] [--data runs/quickstart] [--updates 20]
        [--quick] [--rounds 7] [--out runs/bench]

Seconds of audio that a CPU second trains on, on one thread. The other build is a git revision in a
temporary worktree. Both train on one demo corpus with one quantizer and its codes, each by its own
debug config as its quickstart sets it, in processes of their own that take turns. Networks, losses
and batches differ, which is the point: what they reach stands in the heads of the configs and in
docs/operations.md. By default it is the last build before `make quickstart` was `gsv2 fit` that
runs with the torch of constraints.txt.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from benchmarks.harness import Row, ratios
from benchmarks.options import option_parser, options_of
from benchmarks.revisions import ROOT, worktree
from benchmarks.turns import TrainingTurns, training_turns
from gsv2.fit.budget import TimeBudget
from gsv2.fit.corpus import (
    CODES_UNALIGNED,
    FitCorpora,
    choose_corpora,
    keep_codes,
    longest_clip_sec,
)
from gsv2.fit.journal import Journal
from gsv2.fit.runs import FitRuns
from gsv2.fit.steps import FitSteps
from gsv2.quickstart.demo_corpus import make_demo_corpus
from gsv2.quickstart.pipeline import CORPUS_MINUTES, OVERRIDES

BEFORE = "27f05c1"
LEAST_RATIO = 2.0
STAGES = ("gpt", "vits2")
_STEPS = 20
"""Updates of the quantizer and the aligner that only have to be there."""
_QUICK_SCALE = 0.02


def main() -> None:
    """Measure and report."""
    parser = option_parser(__doc__)
    parser.add_argument("--against", default=BEFORE, metavar="REV", help=f"default: {BEFORE}")
    parser.add_argument("--data", type=Path, metavar="DIR", help="what `gsv2 quickstart` has left")
    parser.add_argument("--updates", type=int, default=20, help="of a turn; default: 20")
    options, given = options_of(parser)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        other = stack.enter_context(worktree(given.against, work / "other"))
        if given.data is None:
            prepare(work, _QUICK_SCALE if options.quick else 1.0)
        runs = runs_of((given.data or work).resolve())
        row = stack.enter_context(Row(14, "quickstart", options))
        row.note(f"{runs.corpora.train.path}: {given.against} beside this build, one thread.")
        for stage in STAGES:
            measure(row, stage, given.against, turns_of(runs, stage, other, work, given.updates))


def runs_of(out: Path) -> FitRuns:
    """Return the runs of a fit whose corpus, quantizer, codes and aligner are there.

    Args:
        out: what a quickstart, or `prepare`, has left.
    """
    corpora = choose_corpora(out / "corpus" / "train", None)
    few = [f"{stage}.trainer.max_steps={_STEPS}" for stage in ("quantizer", "aligner")]
    return FitRuns(
        out=out,
        corpora=corpora,
        seed=0,
        overrides=(*OVERRIDES, *few),
        longest_sec=longest_clip_sec(corpora),
    )


def prepare(out: Path, scale: float) -> None:
    """Make the corpus of the quickstart, and what the two stages need before they train.

    Quantizer and aligner are hardly trained: the steps of the others do not depend on what they
    have learnt.

    Args:
        out: empty folder.
        scale: share of the corpus to make.
    """
    make_demo_corpus(out / "corpus", minutes=CORPUS_MINUTES * scale)
    budget = TimeBudget(total_sec=7200.0, weights={"quantizer": 1.0, "aligner": 1.0})
    steps = FitSteps(runs_of(out), Journal(out / "benchmark.json", {}), budget)
    steps.do("quantizer", "codes")
    keep_codes(out)
    steps.do("aligner", "align")


def turns_of(
    runs: FitRuns, stage: str, other: Path, work: Path, updates: int
) -> list[AbstractContextManager[TrainingTurns]]:
    """Return the training of a stage in this build and in the one at `other`, not yet started."""
    shared = {
        "run.name": stage,
        "trainer.max_steps": 1_000_000,
        "trainer.max_minutes": 0,
        "trainer.log_every_steps": updates,
        "trainer.validate_every_steps": 0,
        "data.validation": [],
        "tracking.progress": False,
    }
    source = _unaligned(runs.corpora, runs.out)
    before = {
        **{key: value for key, value in shared.items() if key != "trainer.max_minutes"},
        "run.dir": str(work / "before"),
        "data.sources": [{"path": source.train.path, "codes": source.train.codes}],
        "model.quantizer": str(runs.folder("quantizer")),
    }
    own = [*runs.stage_overrides(stage, 1.0), *_overrides({**shared, "run.dir": str(work / "now")})]
    return [
        training_turns(ROOT, runs.config_file(stage), own, updates),
        training_turns(other, other / f"configs/{stage}/debug.yaml", _overrides(before), updates),
    ]


def measure(
    row: Row, stage: str, revision: str, contenders: Sequence[AbstractContextManager[TrainingTurns]]
) -> None:
    """Let the trainings take turns, after a first one that is not counted."""
    rates: list[list[float]] = [[], []]
    with ExitStack() as stack:
        trainings = [stack.enter_context(contender) for contender in contenders]
        for training in trainings:
            training.take()
        for turn in range(row.options.rounds):
            for place in (0, 1) if turn % 2 else (1, 0):
                rates[place].append(trainings[place].take())
            speeds = f"{rates[0][-1]:.2f} here, {rates[1][-1]:.2f} at {revision}"
            print(f"{stage}, turn {turn + 1}: {speeds}", file=sys.stderr)
    row.figure(f"{stage}: this build", rates[0], "audio s / CPU s")
    row.figure(f"{stage}: {revision}", rates[1], "audio s / CPU s")
    row.target(f"{stage}: this build / {revision}", ratios(*rates), at_least=LEAST_RATIO)


def _unaligned(corpora: FitCorpora, out: Path) -> FitCorpora:
    return corpora.with_codes(out, CODES_UNALIGNED)


def _overrides(values: dict[str, object]) -> list[str]:
    return [f"{key}={json.dumps(value)}" for key, value in values.items()]


if __name__ == "__main__":
    main()
