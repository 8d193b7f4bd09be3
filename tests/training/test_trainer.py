from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gsv2.data.plan.window import LanePosition
from gsv2.data.stream.batch import Batch
from gsv2.training.checkpoints.checkpoint import CheckpointMismatchError, list_steps
from gsv2.training.config import TrainerConfig
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.run_folder.records import read_records
from gsv2.training.trainer import Trainer
from tests.support.same_run import TIMING_KEYS
from tests.support.toy_stage import (
    NUM_LANES,
    ToyStage,
    fit_toy,
    torn_batch,
    toy_batch,
    toy_config,
    toy_position,
)


def metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the rows without what depends on the clock."""
    rows = read_records(folder / "run" / "metrics.jsonl")
    return [{k: v for k, v in row.items() if k not in TIMING_KEYS} for row in rows]


class Killed(BaseException):
    """The process ends here."""


def dying_at(micro_batch: int) -> Any:
    def make(k: int) -> Batch:
        if k == micro_batch:
            raise Killed
        return torn_batch(k)

    return make


def test_the_same_seed_gives_the_same_metrics_and_another_one_others(
    tmp_path: Path, distributed: Distributed
) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        fit_toy(replace(toy_config(tmp_path / name), seed=seed), distributed)
    assert metrics(tmp_path / "a") == metrics(tmp_path / "b")
    assert metrics(tmp_path / "a") != metrics(tmp_path / "c")


@pytest.mark.parametrize("died_in_step", [1, 2, 3, 5])
def test_a_resumed_run_equals_an_unbroken_one_bit_for_bit(
    tmp_path: Path, distributed: Distributed, died_in_step: int
) -> None:
    whole, _ = fit_toy(toy_config(tmp_path / "a"), distributed, make_batch=torn_batch)
    broken = toy_config(tmp_path / "b")
    with pytest.raises(Killed):
        fit_toy(broken, distributed, make_batch=dying_at(4 * died_in_step + 2))
    resumed, state = fit_toy(broken, distributed, make_batch=torn_batch)
    assert (state.step, state.next_micro_batch) == (6, 24)
    for name, trainable in whole.trainables.items():
        other = resumed.trainables[name]
        assert other.scheduler.last_epoch == trainable.scheduler.last_epoch
        assert other.scheduler.get_last_lr() == trainable.scheduler.get_last_lr()
        for key in ("module", "optimizer"):
            torch.testing.assert_close(
                getattr(other, key).state_dict(),
                getattr(trainable, key).state_dict(),
                rtol=0,
                atol=0,
            )
    assert metrics(tmp_path / "a") == metrics(tmp_path / "b")
    quarantine = [read_records(tmp_path / n / "run" / "quarantine.jsonl") for n in "ab"]
    assert quarantine[0] == quarantine[1]


def test_rows_that_are_rarer_than_checkpoints_are_the_same_after_a_resume(
    tmp_path: Path, distributed: Distributed
) -> None:
    """What a row tells of the steps since the last one is in the checkpoint."""
    sections = {"trainer": {"max_steps": 12, "log_every_steps": 5, "validate_every_steps": 0}}
    fit_toy(toy_config(tmp_path / "a", **sections), distributed, make_batch=torn_batch)
    broken = toy_config(tmp_path / "b", **sections)
    for micro_batch in (13, 31, 42):
        with pytest.raises(Killed):
            fit_toy(broken, distributed, make_batch=dying_at(micro_batch))
    fit_toy(broken, distributed, make_batch=torn_batch)
    assert metrics(tmp_path / "a") == metrics(tmp_path / "b")
    assert [row["step"] for row in metrics(tmp_path / "b") if "data/ledger" in row] == [5, 10]


def test_the_stream_is_given_the_marks_of_what_was_used(
    tmp_path: Path, distributed: Distributed
) -> None:
    starts = []

    def train(start: int, positions: Mapping[int, LanePosition]) -> Iterator[Batch]:
        starts.append((start, dict(positions)))
        return map(torn_batch, itertools.count(start))

    for max_steps in (2, 3):
        config = toy_config(tmp_path, trainer={"max_steps": max_steps, "validate_every_steps": 0})
        Trainer(config, distributed).fit(ToyStage(config, distributed.device), train)
    assert starts[-1] == (8, {lane: toy_position(4 + lane) for lane in range(NUM_LANES)})


def test_the_time_of_a_run_goes_on_over_its_launches(
    tmp_path: Path, distributed: Distributed
) -> None:
    with pytest.raises(Killed):
        fit_toy(toy_config(tmp_path), distributed, make_batch=dying_at(14))
    fit_toy(toy_config(tmp_path), distributed, make_batch=torn_batch)
    times = [row["time"] for row in read_records(tmp_path / "run" / "metrics.jsonl")]
    assert times == sorted(times)


def test_a_finished_run_returns_at_once_and_a_longer_one_goes_on(
    tmp_path: Path, distributed: Distributed
) -> None:
    def unread(k: int) -> Batch:
        raise AssertionError("a finished run reads no data")

    config = toy_config(tmp_path)
    fit_toy(config, distributed)
    rows = metrics(tmp_path)
    _, state = fit_toy(config, distributed, make_batch=unread)
    assert state.step == 6
    assert metrics(tmp_path) == rows
    _, state = fit_toy(toy_config(tmp_path, trainer={"max_steps": 8}), distributed)
    assert state.step == 8
    assert [row["step"] for row in metrics(tmp_path)] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_resume_none_starts_afresh(tmp_path: Path, distributed: Distributed) -> None:
    fit_toy(toy_config(tmp_path), distributed)
    rows = metrics(tmp_path)
    fit_toy(toy_config(tmp_path, checkpoint={"resume": "none"}), distributed)
    assert metrics(tmp_path) == rows
    before = tmp_path / "run" / "earlier" / "1"  # nothing is lost to a flag
    assert [row["step"] for row in read_records(before / "metrics.jsonl")] == [1, 2, 3, 4, 5, 6]
    assert list_steps(before) == [2, 4, 6]


def test_a_stage_is_initialised_once_from_the_first_micro_batches(
    tmp_path: Path, distributed: Distributed
) -> None:
    stage, _ = fit_toy(toy_config(tmp_path), distributed)
    expected = toy_batch(0).wave.mean(dim=(0, 1))
    assert torch.equal(stage.trainables["generator"].module.offset, expected)


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path, distributed: Distributed) -> None:
    fit_toy(toy_config(tmp_path), distributed)
    with pytest.raises(CheckpointMismatchError, match=r"generator\.width is 6 there, but 9"):
        fit_toy(toy_config(tmp_path, model={"width": 9}), distributed)


def test_ranks_must_divide_the_micro_batches_of_a_step(
    tmp_path: Path, distributed: Distributed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "world", 3)
    with pytest.raises(ValueError, match=r"multiple of the 3 ranks, but is 4.* 1, 2, 4 can"):
        Trainer(toy_config(tmp_path), distributed)


def test_impossible_values_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"trainer\.max_steps must be at least 1, but is 0"):
        TrainerConfig(max_steps=0)


def test_engines_are_set_for_the_stage(tmp_path: Path, distributed: Distributed) -> None:
    class Probe(ToyStage):
        def num_targets(self, batch: Batch) -> Any:
            assert all(t.engine is not None for t in self.trainables.values())
            return super().num_targets(batch)

    fit_toy(toy_config(tmp_path), distributed, stage_class=Probe)
