from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gsv2.data.stream.batch import Batch
from gsv2.training.distributed.ranks import Distributed
from gsv2.training.dry_run import MemoryBudgetError, dry_run
from gsv2.training.engines.plain import PlainEngine
from gsv2.training.prepare import attach_engines
from gsv2.training.run_folder.records import read_records
from gsv2.training.stage import Update
from tests.support.same_run import TIMING_KEYS
from tests.support.toy_stage import NUM_SAMPLES, ToyStage, fit_toy, toy_config


class DryToyStage(ToyStage):
    """A toy of clips of any length, with a buffer that moves in every forward pass."""

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        offset = self.trainables["generator"].module.offset
        offset += 0.01 * batch.wave[..., :NUM_SAMPLES].mean() + 0.001
        yield from super().updates(replace(batch, wave=batch.wave[..., :NUM_SAMPLES]), step)


class HungryStage(DryToyStage):
    """Needs more memory than there is for more than 4 clips."""

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        if batch.num_clips > 4:
            raise torch.OutOfMemoryError("tried to allocate 999 GiB")
        yield from super().updates(batch, step)


def rows(folder: Path) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in row.items() if key not in TIMING_KEYS}
        for row in read_records(folder / "run" / "metrics.jsonl")
    ]


def test_training_with_and_without_a_dry_run_is_equal_to_the_last_bit(
    tmp_path: Path, distributed: Distributed
) -> None:
    """From a fresh start, and from a checkpoint, where moments and averages are there."""
    ends = {}
    for name, is_dry in (("a", False), ("b", True)):
        optim = {"generator": {"ema_decay": 0.9}}
        for max_steps in (3, 6):
            trainer = {"max_steps": max_steps, "log_every_steps": 1, "dry_run": is_dry}
            config = toy_config(tmp_path / name, trainer=trainer, optim=optim)
            stage, _ = fit_toy(config, distributed, stage_class=DryToyStage)
        ends[name] = {n: t.module.state_dict() for n, t in stage.trainables.items()}
    torch.testing.assert_close(ends["b"], ends["a"], rtol=0, atol=0)
    assert rows(tmp_path / "a") == rows(tmp_path / "b")


class StreamingStage(DryToyStage):
    """Needs a lot of memory in the middle of a step."""

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        torch.ones(2**28, dtype=torch.uint8)
        yield from super().updates(batch, step)


def test_the_peak_is_that_of_the_step_and_of_the_moments_to_come(
    tmp_path: Path, distributed: Distributed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a step has given back at its end counts too."""
    peaks = []
    for stage_class, to_come in ((DryToyStage, 0), (StreamingStage, 0), (DryToyStage, 2**29)):
        with monkeypatch.context() as patch:
            if to_come:
                patch.setattr(PlainEngine, "pending_moment_bytes", lambda engine: 2**28)
            config = toy_config(tmp_path)
            stage = stage_class(config, distributed.device)
            attach_engines(stage.trainables, {}, distributed)
            peaks.append(max(dry_run(config.data, stage, distributed, 0).values()))
    assert peaks[1] - peaks[0] == pytest.approx(0.25, abs=0.05)
    assert peaks[2] - peaks[0] == pytest.approx(0.5, abs=0.05)


class PhasedToyStage(DryToyStage):
    """Says of which steps its updates were asked for."""

    full_step = 5

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.steps: list[int] = []

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        self.steps.append(step)
        yield from super().updates(batch, step)


def test_the_step_on_trial_is_one_with_all_updates(
    tmp_path: Path, distributed: Distributed
) -> None:
    config = toy_config(tmp_path)
    stage = PhasedToyStage(config, distributed.device)
    attach_engines(stage.trainables, {}, distributed)
    dry_run(config.data, stage, distributed, 0)
    assert set(stage.steps) == {5}


def test_out_of_memory_is_one_line_that_names_the_budget(
    tmp_path: Path, distributed: Distributed
) -> None:
    config = toy_config(tmp_path, trainer={"dry_run": True})
    with pytest.raises(MemoryBudgetError, match=r"out of memory on cpu .*lower data\.max_frames"):
        fit_toy(config, distributed, stage_class=HungryStage)
    config = toy_config(tmp_path, trainer={"dry_run": True}, data={"max_frames": 80})
    fit_toy(config, distributed, stage_class=HungryStage)
