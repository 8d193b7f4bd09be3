"""The quickstart at its smallest: all languages and stages, few voices and clips, few steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from gsv2.fit import pipeline as fit_pipeline
from gsv2.fit.chain import ChainCall, run_chain
from gsv2.quickstart import demo_plan, pipeline, report, speaking
from gsv2.quickstart.curves import TermCurves
from gsv2.quickstart.figures import draw_curves
from tests.support.forked_runs import ForkedRuns, finish

SCALE = 0.005
"""Fraction of corpus and time."""
NUM_VOICES = 2
"""Of training, in every language."""
OVERRIDES = (
    "quantizer.model.codebooks.kmeans_iterations=3",
    "gpt.model.validation_sentences=1",
)
"""What costs more than its steps."""


def run_tiny_quickstart(out: Path, forked_runs: ForkedRuns, *, seed: int = 0) -> None:
    """Run the quickstart in `out`, or go on with it."""
    with _tiny(forked_runs):
        pipeline.run_quickstart(out, seed=seed, scale=SCALE)


@contextmanager
def _tiny(forked_runs: ForkedRuns) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo_plan, "HELDOUT_CLIPS_PER_VOICE", 2)
        patch.setattr(demo_plan, "TRAIN_VOICES", demo_plan.TRAIN_VOICES[:NUM_VOICES])
        patch.setattr(pipeline, "OVERRIDES", (*pipeline.OVERRIDES, *OVERRIDES))
        patch.setattr(fit_pipeline, "run_side_by_side", partial(_run_chains, forked_runs))
        patch.setattr(report, "draw_curves", _draw_losses)
        patch.setattr(speaking, "_WEIGHTS", (0.0, 1.0))
        patch.setattr(speaking, "_FUSED", ("One.",))
        patch.setattr(speaking, "_LONG", "One.")
        yield


def _draw_losses(pair: TermCurves, label: str) -> str:
    """Draw the loss of each network; all 127 charts take as long as all trainings."""
    return draw_curves(pair, label) if pair.term.endswith("/loss") else "<svg></svg>"


def _run_chains(
    forked_runs: ForkedRuns, calls: Sequence[ChainCall], logs: Path, threads: int
) -> None:
    """Run the first chain here, and the last in a process of its own, of which a fit starts two."""
    for call in calls[:-1]:
        run_chain(ChainCall.from_json(call.to_json()))
    for call in calls[-1:]:
        finish(forked_runs.start_ranks(logs, "chain", call.to_json(), world=1))
