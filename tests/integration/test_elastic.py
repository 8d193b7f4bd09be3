"""The same loss curve on 1 and 4 ranks, and under ZeRO-3: dropout, noise and slices included.

Stages on two ranks are in `test_two_ranks.py`.
"""

from __future__ import annotations

from collections.abc import Callable
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
def shared(tmp_path_factory: pytest.TempPathFactory, tiny_corpus: Any) -> Path:
    """A quantizer and its codes."""
    out, corpus = tmp_path_factory.mktemp("elastic"), tiny_corpus.path
    train_stage("quantizer", out, corpus, out)
    extract_codes(corpus, out / "quantizer", out / "codes", Distributed().device)
    return out


@pytest.fixture(scope="module")
def make_curves(
    shared: Path, tiny_corpus: Any, forked_runs: ForkedRuns
) -> Callable[[str, int, str], Path]:
    """Train a stage on ranks under an engine; return the folder of its run."""

    def make(stage: str, world: int, engine: str) -> Path:
        folder = shared / f"{world}-{engine}"
        words = (folder, tiny_corpus.path, shared, stage, engine)
        finish(forked_runs.start_ranks(folder, "elastic", *words, world=world))
        return folder / stage

    return make


@pytest.fixture(scope="module", params=LOSSES)
def alone(request: pytest.FixtureRequest, shared: Path, tiny_corpus: Any) -> Path:
    """The run of a stage on one rank."""
    train_curve(request.param, shared / "1", tiny_corpus.path, shared)
    return shared / "1" / request.param


@pytest.mark.parametrize(
    "alone", ["gpt", pytest.param("vits2", marks=pytest.mark.slow)], indirect=True
)
def test_the_loss_curve_does_not_depend_on_the_ranks(
    alone: Path, make_curves: Callable[[str, int, str], Path]
) -> None:
    """The GAN's curve on two ranks is that of one in `test_joint_runs.py`."""
    _assert_same_curve(alone, make_curves(alone.name, 4, "ddp"))


@pytest.mark.slow
def test_zero_3_learns_the_same(alone: Path, make_curves: Callable[[str, int, str], Path]) -> None:
    """In its steps every parameter is gathered."""
    _assert_same_curve(alone, make_curves(alone.name, 2, "deepspeed"))


def _assert_same_curve(one: Path, many: Path) -> None:
    stage = one.name
    rows, others = (read_records(run / "metrics.jsonl") for run in (one, many))
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
