"""The same loss curve on 1 and 4 ranks, and under ZeRO-3: dropout, noise and slices included.

Stages on two ranks are in `test_two_ranks.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gsv2.inference.extraction import extract_codes
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.run_folder.records import read_records
from tests.support.forked_runs import ForkedRuns, finish
from tests.support.ranks.elastic import NUM_STEPS, train_curve
from tests.support.real_stages import train_stage

LOSSES = {"gpt": ("gpt",), "vits2": ("generator", "discriminator")}
TOLERANCES = {"gpt": 1e-5, "vits2": 1e-4}


@pytest.fixture(scope="module")
def curves(
    tmp_path_factory: pytest.TempPathFactory, tiny_corpus: Any, forked_runs: ForkedRuns
) -> Path:
    """Runs of one rank (`1`) and of four."""
    out, corpus = tmp_path_factory.mktemp("elastic"), tiny_corpus.path
    train_stage("quantizer", out, corpus, out)
    device = Distributed().device
    extract_codes(corpus, out / "quantizer", out / "codes", device)
    runs = (out / "4", corpus, out, "gpt/ddp", "vits2/ddp")
    finish(forked_runs.start_ranks(out / "4", "elastic", *runs, world=4))
    for name in LOSSES:
        train_curve(name, out / "1", corpus, out)
    return out


@pytest.fixture(scope="module")
def sharded(curves: Path, tiny_corpus: Any, forked_runs: ForkedRuns) -> Path:
    """Runs of two ranks under ZeRO-3, in whose steps every parameter is gathered."""
    runs = (curves / "2", tiny_corpus.path, curves, "gpt/deepspeed", "vits2/deepspeed")
    finish(forked_runs.start_ranks(curves / "2-sharded", "elastic", *runs))
    return curves


@pytest.mark.parametrize("stage", LOSSES)
def test_the_loss_curve_does_not_depend_on_the_ranks(curves: Path, stage: str) -> None:
    _assert_same_curve(curves, stage, "4/ddp")


@pytest.mark.slow
@pytest.mark.parametrize("stage", LOSSES)
def test_zero_3_learns_the_same(sharded: Path, stage: str) -> None:
    _assert_same_curve(sharded, stage, "2/deepspeed")


def _assert_same_curve(curves: Path, stage: str, ranks: str) -> None:
    rows, others = (read_records(curves / run / stage / "metrics.jsonl") for run in ("1", ranks))
    assert len(rows) == len(others) == NUM_STEPS
    for row, other in zip(rows, others, strict=True):
        for name in LOSSES[stage]:
            expected = pytest.approx(row[f"{name}/loss"], rel=TOLERANCES[stage])
            assert other[f"{name}/loss"] == expected, f"step {row['step']}"
    validated = {key for key in rows[-1] if key.startswith("validation/")}
    assert validated
    for key in validated:
        rel = TOLERANCES[stage]  # and as absolute: the text gain is a small difference of losses
        assert others[-1][key] == pytest.approx(rows[-1][key], rel=rel, abs=rel), key
