"""The quickstart at its smallest: all languages and stages, few voices and clips, few steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from gsv2.fit import pipeline as fit_pipeline
from gsv2.fit.chain import ChainCall, run_chain
from gsv2.fit.side_by_side import run_side_by_side
from gsv2.quickstart import demo_plan, pipeline, report

SCALE = 0.02
"""Fraction of corpus and time."""
NUM_VOICES = 4
"""Of training, in every language."""
OVERRIDES = (
    "quantizer.model.codebooks.kmeans_iterations=3",
    "gpt.model.validation_sentences=1",
)
"""What costs more than its steps."""


def run_tiny_quickstart(out: Path, *, seed: int = 0, charts: bool = True) -> None:
    """Run the quickstart in `out`, or go on with it; draw the 144 charts of its report or none."""
    with _tiny() as patch:
        if not charts:
            patch.setattr(report, "draw_curves", lambda *_: "<svg></svg>")
        pipeline.run_quickstart(out, seed=seed, scale=SCALE)


@contextmanager
def _tiny() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo_plan, "HELDOUT_CLIPS_PER_VOICE", 2)
        patch.setattr(demo_plan, "TRAIN_VOICES", demo_plan.TRAIN_VOICES[:NUM_VOICES])
        patch.setattr(pipeline, "OVERRIDES", (*pipeline.OVERRIDES, *OVERRIDES))
        patch.setattr(fit_pipeline, "run_side_by_side", _run_chains)
        yield patch


def _run_chains(calls: Sequence[ChainCall], logs: Path, threads: int) -> None:
    """Run the first chain here, without a start of seconds, and the last as a fit does."""
    for call in calls[:-1]:
        run_chain(ChainCall.from_json(call.to_json()))
    run_side_by_side(calls[-1:], logs, threads)
