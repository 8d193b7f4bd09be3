from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gsv2.data.stream.batch import Batch
from gsv2.training.accounting.consumption import sequence_shares
from gsv2.training.accounting.ledger import Ledger, add_tallies, ledger_to_plain, tally_batch
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.guard import TrainingError
from gsv2.training.run_folder.records import read_records
from gsv2.training.stage import Update
from gsv2.training.trainer import Trainer
from tests.support.same_run import TIMING_KEYS
from tests.support.toy_stage import ToyStage, fit_toy, torn_batch, toy_batch, toy_config


def test_rows_carry_losses_rates_norms_shares_and_validation(
    tmp_path: Path, distributed: Distributed
) -> None:
    fit_toy(toy_config(tmp_path), distributed, make_batch=torn_batch)
    rows = read_records(tmp_path / "run" / "metrics.jsonl")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    timing = {"time", "data/wait_share", "train/steps_per_sec", "train/host_memory_gib"}
    assert timing < set(rows[0])
    assert set(rows[0]) - TIMING_KEYS == {
        "step", "generator/loss", "generator/adversarial", "generator/error", "generator/lr",
        "generator/grad_norm", "discriminator/loss", "discriminator/lr",
        "discriminator/grad_norm", "data/padding_share", "data/samples_seen", "data/bad_clips",
        "train/skipped_updates", "train/spikes", "checkpoint/failures", "data/epoch",
        *sequence_shares({}),
    }  # fmt: skip
    assert [row["step"] for row in rows if "validation/generator/error" in row] == [3, 6]
    assert (rows[-1]["data/bad_clips"], rows[-1]["data/samples_seen"]) == (2, 58)
    assert rows[-1]["data/padding_share"] == 0.25
    assert [row["data/epoch"] for row in rows] == [0, 0, 0, 0, 1, 1]


def test_a_step_is_read_within_the_one_before_and_none_after_the_last(
    tmp_path: Path, distributed: Distributed
) -> None:
    happened: list[str] = []

    class Told(ToyStage):
        def updates(self, batch: Batch, step: int) -> Iterator[Update]:
            for update in super().updates(batch, step):
                yield update
                happened.append(f"{update.trainable} of {batch.micro_batch}")

    def make(k: int) -> Batch:
        happened.append(f"read {k}")
        return torn_batch(k)

    options = {"max_steps": 2, "validate_every_steps": 0, "log_every_steps": 9}
    fit_toy(toy_config(tmp_path, trainer=options), distributed, stage_class=Told, make_batch=make)
    first, second = (
        [f"{name} of {k}" for name in ("discriminator", "generator") for k in ks]
        for ks in (range(4), range(4, 8))
    )
    read = [f"read {k}" for k in range(8)]
    assert happened == [*read[:4], *read[4:], *first, *second]


def test_a_lane_epoch_is_in_the_first_row_after_its_last_window(
    tmp_path: Path, distributed: Distributed
) -> None:
    config = toy_config(
        tmp_path,
        trainer={"max_steps": 10, "log_every_steps": 3, "validate_every_steps": 0},
        checkpoint={"every_steps": 5},
    )
    _, state = fit_toy(config, distributed, make_batch=torn_batch)
    rows = read_records(tmp_path / "run" / "metrics.jsonl")
    logged = [(row["step"], row["data/ledger"]) for row in rows if "data/ledger" in row]
    # micro-batch k is micro-batch k // 4 of its lane, which is in step k // 4 + 1
    assert [(step, [entry["epoch"] for entry in ledger]) for step, ledger in logged] == [
        (6, [0, 0, 0, 0]), (9, [1, 1, 1, 1])
    ]  # fmt: skip
    for (_, ledger), epoch in zip(logged, (0, 1), strict=True):
        expected: Ledger = {}
        for k in range(16 * epoch, 16 * epoch + 16):
            add_tallies(expected, tally_batch(torn_batch(k)))
        assert ledger == ledger_to_plain(expected)
    assert {place.epoch for place in state.ledger} == {2}


def test_a_run_with_too_many_skipped_updates_stops(
    tmp_path: Path, distributed: Distributed
) -> None:
    def broken(k: int) -> Batch:
        batch = toy_batch(k)
        return replace(batch, wave=batch.wave * float("nan")) if k >= 4 else batch

    config = toy_config(tmp_path, trainer={"max_skipped_steps": 3})
    with pytest.raises(TrainingError, match=r"step 3: 4 updates were left out.*max_skipped_steps"):
        fit_toy(config, distributed, make_batch=broken)


def test_the_last_step_has_a_checkpoint(tmp_path: Path, distributed: Distributed) -> None:
    config = toy_config(tmp_path, trainer={"max_steps": 3}, checkpoint={"every_steps": 100})
    fit_toy(config, distributed)
    folders = [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()]
    assert folders == ["step_00000003"]


def test_rows_and_checkpoints_come_at_their_steps(tmp_path: Path, distributed: Distributed) -> None:
    sections = {"max_steps": 7, "log_every_steps": 3, "validate_every_steps": 5}
    config = toy_config(tmp_path, trainer=sections, checkpoint={"every_steps": 4, "keep_last": 9})
    fit_toy(config, distributed)
    rows = read_records(tmp_path / "run" / "metrics.jsonl")
    assert [row["step"] for row in rows] == [1, 3, 5, 6, 7]
    folders = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert folders == ["step_00000004", "step_00000007"]


def test_a_training_stream_that_ends_is_an_error(tmp_path: Path, distributed: Distributed) -> None:
    config = toy_config(tmp_path)
    stage = ToyStage(config, distributed.device)
    with pytest.raises(TrainingError, match="endless"):
        Trainer(config, distributed).fit(stage, lambda start, _: map(toy_batch, range(start, 6)))


@pytest.mark.parametrize("broken", ["generator", "discriminator"])
def test_a_run_of_which_one_network_takes_no_update_ends_with_an_error_by_its_name(
    tmp_path: Path, distributed: Distributed, broken: str
) -> None:
    class Broken(ToyStage):
        def updates(self, batch: Batch, step: int) -> Iterator[Update]:
            for update in super().updates(batch, step):
                factor = float("nan") if update.trainable == broken else 1.0
                yield update._replace(loss=update.loss * factor)

    options = {"max_steps": 30, "max_skipped_steps": 30, "log_every_steps": 100}
    config = toy_config(tmp_path, trainer=options)
    with pytest.raises(TrainingError, match=rf"step 10: every update of {broken} since the first"):
        fit_toy(config, distributed, stage_class=Broken)
