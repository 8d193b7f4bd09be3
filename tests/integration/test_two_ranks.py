from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from gsv2.training.checkpoints.checkpoint import find_component
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.run_folder.records import read_records
from tests.support.forked_runs import ForkedRuns, finish
from tests.support.real_stages import train_stage
from tests.support.same_run import assert_same_metrics
from tests.support.toy_stage import fit_toy, torn_batch, toy_config


@pytest.fixture(scope="module")
def two(
    tmp_path_factory: pytest.TempPathFactory, tiny_corpus: Any, forked_runs: ForkedRuns
) -> Path:
    """What two ranks have trained."""
    out = tmp_path_factory.mktemp("two")
    finish(forked_runs.start_ranks(out, "two_ranks", out, tiny_corpus.path))
    return out


def test_two_ranks_train_the_same_gan_as_one(tmp_path: Path, two: Path) -> None:
    """Accumulation of 2, a graph kept between phases, dropout, a torn micro-batch, validation."""
    stage, _ = fit_toy(toy_config(tmp_path), Distributed(), make_batch=torn_batch)
    for name, trainable in stage.trainables.items():
        saved = load_file(find_component(two / "run", name))
        for key, value in trainable.module.state_dict().items():
            assert (saved[key] - value).abs().max() <= 1e-5, f"{name}.{key}"
    assert_same_metrics(tmp_path / "run", two / "run", 1e-5)
    bad = [read_records(folder / "run" / "quarantine.jsonl") for folder in (tmp_path, two)]
    assert bad[0] == bad[1]
    assert len(bad[0]) == 2


def test_two_ranks_end_a_run_by_time_at_one_step_with_everything_due(two: Path) -> None:
    """A rank that took one step more would have waited for the other for ever."""
    last = read_records(two / "by_time" / "run" / "metrics.jsonl")[-1]
    assert last["step"] > 2
    assert "validation/generator/error" in last
    assert find_component(two / "by_time" / "run", "generator").parent.name.endswith(
        f"{last['step']:08d}"
    )


def test_a_run_begun_on_two_ranks_goes_on_alone(tmp_path: Path, two: Path) -> None:
    """Its ledger too: epochs that two ranks began are finished by one."""
    fit_toy(toy_config(tmp_path), Distributed(), make_batch=torn_batch)
    fit_toy(toy_config(two / "moved"), Distributed(), make_batch=torn_batch)
    assert_same_metrics(tmp_path / "run", two / "moved" / "run", 1e-5)
    rows = read_records(tmp_path / "run" / "metrics.jsonl")
    assert [len(row["data/ledger"]) for row in rows if "data/ledger" in row] == [4]


@pytest.fixture(scope="module")
def others(two: Path, tiny_corpus: Any, forked_runs: ForkedRuns) -> Path:
    """The same folder, with the stages whose networks others of the default tests train too."""
    words = (two, tiny_corpus.path, "gpt", "vits2", "joint")
    finish(forked_runs.start_ranks(two / "others", "two_ranks", *words))
    return two


@pytest.mark.parametrize(("name", "tolerance"), [("quantizer", 1e-4), ("pointer", 1e-5)])
def test_two_ranks_train_a_stage_as_one_does(
    tmp_path: Path, tiny_corpus: Any, two: Path, name: str, tolerance: float
) -> None:
    """`pointer` reads by attention too; the GAN on two ranks is in test_joint_runs.py."""
    train_stage(name, tmp_path, tiny_corpus.path, shared=two)
    assert_same_metrics(tmp_path / name, two / name, tolerance)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "tolerance"), [("gpt", 1e-5), ("vits2", 1e-4), ("joint", 1e-4)])
def test_two_ranks_train_every_other_stage_as_one_does(
    tmp_path: Path, tiny_corpus: Any, others: Path, name: str, tolerance: float
) -> None:
    train_stage(name, tmp_path, tiny_corpus.path, shared=others)
    assert_same_metrics(tmp_path / name, others / name, tolerance)
